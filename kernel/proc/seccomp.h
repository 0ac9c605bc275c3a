/*
 * seccomp(2): what calls a thread may make. Strict: read, write, exit, sigreturn. Filter:
 * programs of classic BPF judge each call; newer ones stand before older ones, the strictest
 * answer counts. Neither can be taken back; children and programs inherit both.
 */
#pragma once

#include "lib/types.h"

struct seccomp_filter;
struct seq;
struct thread;
struct trap_frame;

enum seccomp_mode { SECCOMP_OFF, SECCOMP_STRICT, SECCOMP_FILTER };

/*
 * Of the current thread, before a call (THREAD_CALL_FILTERED). false: it is not to be done,
 * its result is in the frame.
 */
bool seccomp_check(struct trap_frame *f);

/* A new thread, the lock of its process held: it gets what the current one has. */
void seccomp_inherit_locked(struct thread *t);
void seccomp_release(struct thread *t); /* a thread that is freed */

enum seccomp_mode seccomp_mode_of(const struct thread *t);
unsigned seccomp_num_filters(struct thread *t);
/* PTRACE_SECCOMP_GET_FILTER: the instructions of filter `number`, the oldest is 0, to `to` unless that
 * is NULL; how many. */
long seccomp_get_filter(struct thread *t, uint64_t number, void USER *to);
/* prctl(PR_SET_SECCOMP). */
long seccomp_set_mode(uint64_t mode, const void USER *program);

void seccomp_init(void); /* what /proc/sys tells of it */
