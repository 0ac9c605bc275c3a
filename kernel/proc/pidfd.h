/* Descriptors that name a process: pidfd_open, CLONE_PIDFD. The number cannot be used again
 * behind one's back; poll tells the end. */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

struct process;

/* A descriptor for the process in the current one's table, closed by exec, or an err; flags
 * O_NONBLOCK. */
long pidfd_install(struct process *p, int flags);

/* The process of a descriptor with a reference, or NULL: it is none. */
struct process *pidfd_process(int fd, bool *is_nonblock);

/* The process that a signal by the descriptor is for, with a reference: also that of an open folder
 * of /proc. ERR_BADF, ERR_SRCH. */
enum err pidfd_signal_target(int fd, struct process **out);

/* It was waited for: there is nobody left to send to. */
bool process_is_reaped(struct process *p);
