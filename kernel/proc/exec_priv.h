/* One exec on its way: shared by exec.c and exec_first.c, which starts programs without a caller. */
#pragma once

#include "kernel/proc/exec.h"
#include "kernel/proc/exec_strings.h"
#include "kernel/x86/trap.h"

struct aspace;
struct cred;
struct file;

struct exec {
	char *
	    path; /* as given, or /dev/fd/N...; also the name of the process afterwards */
	struct file *file;
	struct exec_strings strings;
	struct aspace *aspace;
	struct cred *cred;
	struct trap_frame frame;
	bool is_secure;  /* AT_SECURE: it has rights that its caller has not */
	bool gains_caps; /* into the permitted set */
	bool is_private; /* not dumpable */
	bool has_begun;  /* no tracer comes: exec_begin */
};

/* While e->file is a script: its interpreter takes its place, and the strings change. */
enum err exec_resolve(struct exec *e);
/* The new e->cred, and what follows of it. ERR_PERM, ERR_INVAL, ERR_NOMEM. */
enum err exec_make_cred(struct exec *e);
/* The image of e->file, into a new e->aspace and e->frame; wants strings and cred. */
enum err exec_load(struct exec *e);
/* Drops whatever of it there is. */
void exec_fini(struct exec *e);
