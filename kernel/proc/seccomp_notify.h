/*
 * seccomp's user notification (seccomp_unotify(2)): a filter may leave a call to another process,
 * which has a descriptor, the listener. The caller waits until it has answered. Inside kernel/proc.
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

struct file;
struct seccomp_listener;
struct trap_frame;

/* Linux's struct seccomp_data. */
struct call_data {
	int32_t nr;
	uint32_t arch;
	uint64_t rip, args[6];
};

/* One reference, which is the filter's. is_killable: what has been received is waited for even when
 * signals come (SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV). NULL: no memory. */
struct seccomp_listener *listener_create(bool is_killable);
/* A file on it, with a reference of its own. NULL: no memory. */
struct file *listener_file(struct seccomp_listener *);
/* The filter is gone: nobody will ask any more. */
void listener_orphan(struct seccomp_listener *);

/*
 * The current thread's call is left to the listener: sleeps until it has answered. true: the call is
 * to be done; false: its result is in the frame.
 */
bool listener_ask(
    struct seccomp_listener *, struct trap_frame *f, const struct call_data *call);

/* SECCOMP_GET_NOTIF_SIZES. */
enum err listener_put_sizes(void USER *sizes);
