/* Shared by tty.c and tty_ioctl.c. */
#pragma once

#include "drivers/char/tty.h"

struct file;

long tty_ioctl(struct file *, unsigned cmd, uintptr_t arg);

/*
 * Before a background process reads or changes its controlling terminal: OK, or the result of the call
 * (kernel/proc/session.h). Processes of other sessions, or with another terminal, are not held up.
 */
enum err tty_check_access(struct tty *, int sig);

/* Waits until everything written has left: ERR_RESTARTSYS on a signal. */
enum err tty_drain(struct tty *);

/* Makes it the controlling terminal of the current session; `steal` takes it from another one. */
enum err tty_become_controlling(struct tty *, bool steal);

/* Sends `signals` (bits) to the group that was in the foreground; no lock held. */
void tty_send_signals(uint32_t pgid, uint32_t signals);
