/* Between the files of core dumps: coredump.c (when, where to), coredump_name.c, coredump_elf.c. */
#pragma once

#include "kernel/proc/coredump.h"
#include "lib/err.h"

struct file;
struct process;

enum { CORE_PATTERN_SIZE = 128, CORE_NAME_SIZE = 4096, CORE_ARGS_MAX = 64 };

/* What core_pattern's specifiers stand for. */
struct core_facts {
	uint32_t pid, tid, uid, gid;
	int signo;
	unsigned dumpable, cpu;
	uint64_t time_s, limit;
	const char *host, *comm;
	const char *exe; /* a path; NULL: not known */
	bool adds_pid;   /* core_uses_pid */
};

/* A file's name, or a program with its arguments. */
struct core_name {
	bool is_pipe;
	unsigned argc;
	uint16_t args[CORE_ARGS_MAX]; /* where in `text` each begins */
	size_t len;
	char text[CORE_NAME_SIZE];
};

/* false: too long, or a pipe to nothing. */
bool core_name_expand(
    struct core_name *, const char *pattern, const struct core_facts *facts);

/* A core file on its way. */
struct core {
	const struct siginfo *info;
	struct process *process;
	struct thread **threads; /* references; the dying one first */
	unsigned num_threads;
	struct file *file;
	bool is_pipe;
	uint64_t limit;         /* bytes that may be written */
	uint64_t pos, data_end; /* where it goes on; where the last bytes ended */
	uint64_t written;       /* without holes */
};

/* false: it does not take any more, or SIGKILL has come. */
bool core_write(struct core *, const void *data, size_t n);
bool core_skip(
    struct core *, uint64_t n); /* zeros: a hole, where the file can have one */

/* The whole file. Returns whether anything was there to be written. */
bool core_write_elf(struct core *);
