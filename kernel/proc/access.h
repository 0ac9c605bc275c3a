/*
 * Who may look into another process, or change it: the rule of ptrace, of /proc's private
 * files and of the calls that reach into others (ptrace(2), "Ptrace access mode checking").
 */
#pragma once

#include "lib/err.h"

struct aspace;
struct process;

enum access_mode {
	ACCESS_FS_IDS,   /* by fsuid and fsgid: /proc */
	ACCESS_REAL_IDS, /* by real ids: ptrace, process_vm_readv */
};

/* OK or ERR_PERM, for the current thread. The second: the process's lock is held. */
enum err process_may_access(struct process *p, enum access_mode mode);
enum err process_may_access_locked(struct process *p, enum access_mode mode);

/* Its address space with a reference, if that is allowed: ERR_PERM; ERR_SRCH: it has none
 * (any more). */
enum err process_access_aspace(
    struct process *p, enum access_mode mode, struct aspace **out);
