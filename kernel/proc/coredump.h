/*
 * Core files (core(5)): what a process was when a signal killed it, for a debugger. The thread that
 * takes the signal writes it, while the process's other threads stand still.
 */
#pragma once

#include "lib/types.h"

struct siginfo;
struct thread;
struct trap_frame;

/* Who may read a process's memory by tracing it or in a core file: aspace.dumpable, and
 * /proc/sys/fs/suid_dumpable. */
enum dumpable {
	DUMPABLE_NO,
	DUMPABLE_USER, /* its user */
	DUMPABLE_ROOT, /* root: no tracing, and core files are root's */
};

/* What of a process's memory goes into a core file: bits of /proc/PID/coredump_filter. */
enum core_filter {
	CORE_ANON_PRIVATE = 1 << 0,
	CORE_ANON_SHARED = 1 << 1,
	CORE_FILE_PRIVATE = 1 << 2,
	CORE_FILE_SHARED = 1 << 3,
	CORE_ELF_HEADERS = 1 << 4,
	CORE_FILTER_DEFAULT =
	    0x33, /* bit 5: huge pages, which count as the others here */
	CORE_FILTER_ALL = 0x1ff,
};

/*
 * Of the current thread, on its way to user mode, which `info` is about to kill with its process.
 * Ends the other threads' running (the process exits from here) and writes the file, if limits,
 * rights and the pattern say so. No lock held; sleeps. Returns whether there is one: the wait status
 * tells (WCOREDUMP).
 */
bool coredump(const struct siginfo *info);

/* The current thread begins to exit: while another of its process writes a core file, it stays here,
 * its registers unchanged. */
void coredump_stand_by(struct thread *t);

/* What programs get that may not be read by their users: /proc/sys/fs/suid_dumpable. */
enum dumpable coredump_suid_dumpable(void);

void coredump_init(void); /* /proc/sys */
