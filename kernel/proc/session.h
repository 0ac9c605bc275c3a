/*
 * Job control as terminals see it (POSIX XBD 11.1). A terminal driver keeps, under its
 * own lock, the session it controls and its foreground group as plain numbers; these
 * calls do the rest. All may be called with no spinlock held above RANK_PROC_TREE.
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

struct tty;

/* Numbers of the current process. */
uint32_t session_current_sid(void);
uint32_t session_current_pgid(void);
bool session_current_is_leader(void);

/* The controlling terminal of the current process, or NULL: what /dev/tty opens. */
struct tty *session_current_tty(void);

/*
 * Makes `tty` the controlling terminal of the current session: TIOCSCTTY, or the leader's
 * first open without O_NOCTTY. ERR_PERM: not the leader or it has a terminal already. The
 * caller has checked that no other session has the terminal, and then sets its session
 * and foreground group to the caller's.
 */
enum err session_attach_tty(struct tty *tty);

/* Takes the terminal away from session `sid` (hang-up, TIOCNOTTY by the leader). */
void session_detach_tty(uint32_t sid);

/*
 * The terminal of session `sid` is hung up: the session has none any more, SIGHUP and SIGCONT go to the
 * leader. `fg_pgid`, its foreground group until now, hears of it when the leader exits.
 */
void session_hangup(uint32_t sid, uint32_t fg_pgid);

/* The device number of a process's controlling terminal and its foreground group; 0, -1: none. */
struct process;
void session_tty_numbers(struct process *, uint32_t *dev, int *fg_pgid);
extern void (*session_tty_describe)(struct tty *tty, uint32_t *dev, int *fg_pgid);

/* Whether `pgid` is a group of session `sid`: TIOCSPGRP allows only those. */
bool session_has_pgroup(uint32_t sid, uint32_t pgid);

/*
 * Asked before a process reads from (sig SIGTTIN) or changes (SIGTTOU) its controlling
 * terminal, whose session is `sid` and foreground group `fg_pgid`. OK: go on. Else the
 * result of the call: the signal was sent and the call is to be restarted, or ERR_IO
 * (orphaned group; SIGTTIN blocked or ignored).
 */
enum err session_check_access(uint32_t sid, uint32_t fg_pgid, int sig);

/*
 * Set by the terminal driver: called when the leader of the session that `tty` controls
 * exits, after the session gave it up, within an RCU read section. The driver clears its session and
 * signals its foreground group.
 */
extern void (*session_leader_exited)(struct tty *tty);
