/*
 * Scripts for one TCP core and a peer that is played line by line, in the manner of
 * packetdrill: what comes in and when, what must go out and when. A file holds cases:
 *
 *	case RFC 9293 3.10.7.4: a RST at RCV.NXT resets
 *	in ESTABLISHED CLOSE_WAIT		the case runs once from each of these states
 *	config ts=1 rcvbuf=4000			before it; see set_config() in script.c
 *	+0 < R R				a segment comes: flags, number, ...
 *	+0 > A N ack R				one goes out within the time and its tolerance
 *	state CLOSE				what is checked takes no time
 *
 * A line that begins with +SECONDS happens so long after the line before it. Numbers of
 * ours count from our ISN, the peer's from its; or they are symbols of what the core has
 * now: N snd_nxt, U snd_una, R rcv_nxt, W right edge of the window it offered, with +n or
 * -n behind.
 *
 *	< FLAGS SEQ [len n] [ack n] [win n] [urg n] [ce] [mss n] [wscale n] [sackok] [ts val [ecr]] [nots]
 *	  [sack a-b ...]
 *	> FLAGS SEQ [len n] [ack n] [win n] [urg n] [ect|noect] [mss n] [wscale n] [sackok] [ts] [nots]
 *	  [sack a-b ...] [nosack] [tol seconds]
 *
 * FLAGS are letters of SFRPAUEW; P is compared only if it is asked for. What goes out and
 * is not expected fails the case, before the next stimulus and at the end. Without "ack"
 * a segment in acknowledges all that was sent (N). "ts" of the peer is filled in when
 * timestamps are in use.
 *
 *	+t send n | more n | oob | read n | forget SEQ | noread | shutdown | orphan | abort | icmp SEQ ERR hard|soft |
 *	   toobig SEQ mss | set OPTION value... | connect | listen | wait (just the time)
 *	state X | event X.. | noevent X.. | error X | verdict X | cwnd n | ssthresh n | mss n | acked n |
 *	got n | quiet seconds | rto seconds | ca STATE | srtt us | ecn 0|1 | sent n (n segments went
 *	out, whichever) | skip seconds (whatever goes out in that time)
 */
#pragma once

#include "lib/types.h"

struct script_case {
	char name[160];
	char file[80];
	int line;
	const char *text; /* the lines of the case */
	char state[16];   /* from which it starts; "": by its own lines */
};

/* Reads the cases of a file; returns how many. The text stays allocated. */
unsigned script_load(
    const char *dir, const char *file, struct script_case *, unsigned max);

/* Runs one; prints what was wrong. */
bool script_run(const struct script_case *);
