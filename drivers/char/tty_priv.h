/* Shared by tty.c, tty_job.c, tty_ioctl.c and pty.c. */
#pragma once

#include "drivers/char/tty.h"

struct file;

/* What file->private of an open terminal is. */
struct tty_file {
	struct tty *tty;  /* [I] a reference */
	uint32_t hangups; /* [I] of the terminal when it was opened */
	bool is_console;  /* [I] opened as /dev/console: no hang-up ends it */
};

/* Makes `f` a file of `tty`, whose reference the caller keeps. */
enum err tty_attach_file(struct file *f, struct tty *tty, bool is_console);
bool tty_is_hung_up(const struct tty_file *);

/* The ioctl calls of a file of a terminal. */
long tty_ioctl(struct file *, unsigned cmd, uintptr_t arg);

/* Those that a pty's master passes to its slave: `is_master` has rights that need no session. */
long tty_ioctl_on(struct tty *, bool is_master, unsigned cmd, uintptr_t arg);

/*
 * Before a background process reads or changes its controlling terminal: OK, or the result of the call
 * (kernel/proc/session.h). Processes of other sessions, or with another terminal, are not held up.
 */
enum err tty_check_access(struct tty *, int sig);

/* Waits until everything written has left: ERR_RESTARTSYS on a signal. */
enum err tty_drain(struct tty *);

/* Makes it the controlling terminal of the current session; `steal` takes it from another one. */
enum err tty_become_controlling(struct tty *, bool steal);

/* The controlling terminal of the current process with a reference, or NULL. */
struct tty *tty_get_current(void);

/* TIOCNOTTY: the leader's session gives the terminal up. */
enum err tty_give_up(struct tty *);

/* Sends `signals` (bits) to the group that was in the foreground; no lock held. */
void tty_send_signals(uint32_t pgid, uint32_t signals);

void tty_job_init(void);
