/*
 * The strings of a new program while exec gathers them: all of argv, then all of envp,
 * one after the other with their NULs. Limits as on Linux: 128 KiB a string, all together
 * a quarter of the stack limit and at most EXEC_STRINGS_MAX, pointers counted in.
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

enum { EXEC_STRING_MAX = 128 << 10, EXEC_STRINGS_MAX = 4 << 20 };

struct exec_strings {
	char *buf;
	size_t len, size;
	size_t limit; /* what len and the pointers to the strings may come to */
	uint32_t argc, envc;
	size_t args_len; /* of len, what argv takes */
};

/* Empty, for a program with the given stack limit. ERR_NOMEM. */
enum err exec_strings_init(struct exec_strings *, uint64_t stack_limit);
void exec_strings_free(struct exec_strings *);

/* Appends argv (before envp) of user memory. ERR_FAULT, ERR_2BIG, ERR_NOMEM. */
enum err exec_strings_add_argv(struct exec_strings *, const vaddr_t USER *argv);
enum err exec_strings_add_envp(struct exec_strings *, const vaddr_t USER *envp);

/* Appends one string of the kernel's: to argv while there is no envp, else to envp. */
enum err exec_strings_add(struct exec_strings *, const char *text, bool is_env);

/* A script's interpreter: argv[0] goes and `num` strings come in its place. */
enum err exec_strings_replace_argv0(
    struct exec_strings *, const char *const *strings, unsigned num);
