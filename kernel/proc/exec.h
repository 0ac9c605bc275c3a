/*
 * What exec hands to the image loader (exec_load_elf, mm/aspace.h): the strings of the
 * new program, already copied from the caller, and what the auxiliary vector tells of its
 * rights.
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

struct exec_args {
	const char *path; /* AT_EXECFN: the name as given to execve */
	/*
	 * argc strings of argv, then envc of envp, one after the other, each with its
	 * NUL: they go to the top of the new stack as they are.
	 */
	const char *strings;
	size_t strings_len;
	uint32_t argc, envc;
	uint32_t uid, euid, gid, egid; /* AT_UID .. AT_EGID, after set-id bits */
	bool is_secure;                /* AT_SECURE: set-id changed the identity */
};
