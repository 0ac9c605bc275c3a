/*
 * Errors: the negated errno values of Linux x86-64, so that the system call edge
 * returns them as they are. The attribute on the enum makes the compiler flag
 * every ignored result, also through ops pointers; to ignore one on purpose,
 * cast to void and say why.
 *
 * A function that returns a count returns `long` or `ssize_t`: >= 0, or one of these.
 */
#pragma once

#include "lib/types.h"

enum NODISCARD err {
	OK = 0,
	ERR_PERM = -1,
	ERR_NOENT = -2,
	ERR_SRCH = -3,
	ERR_INTR = -4,
	ERR_IO = -5,
	ERR_NXIO = -6,
	ERR_2BIG = -7,
	ERR_NOEXEC = -8,
	ERR_BADF = -9,
	ERR_CHILD = -10,
	ERR_AGAIN = -11,
	ERR_NOMEM = -12,
	ERR_ACCES = -13,
	ERR_FAULT = -14,
	ERR_BUSY = -16,
	ERR_EXIST = -17,
	ERR_XDEV = -18,
	ERR_NODEV = -19,
	ERR_NOTDIR = -20,
	ERR_ISDIR = -21,
	ERR_INVAL = -22,
	ERR_NFILE = -23,
	ERR_MFILE = -24,
	ERR_NOTTY = -25,
	ERR_TXTBSY = -26,
	ERR_FBIG = -27,
	ERR_NOSPC = -28,
	ERR_SPIPE = -29,
	ERR_ROFS = -30,
	ERR_MLINK = -31,
	ERR_PIPE = -32,
	ERR_DOM = -33,
	ERR_RANGE = -34,
	ERR_DEADLK = -35,
	ERR_NAMETOOLONG = -36,
	ERR_NOSYS = -38,
	ERR_NOTEMPTY = -39,
	ERR_LOOP = -40,
	ERR_NOMSG = -42,
	ERR_IDRM = -43,
	ERR_NODATA = -61,
	ERR_NONET = -64,
	ERR_PROTO = -71,
	ERR_OVERFLOW = -75,
	ERR_LIBBAD = -80,
	ERR_ILSEQ = -84,
	ERR_USERS = -87,
	ERR_NOTSOCK = -88,
	ERR_DESTADDRREQ = -89,
	ERR_MSGSIZE = -90,
	ERR_PROTOTYPE = -91,
	ERR_NOPROTOOPT = -92,
	ERR_PROTONOSUPPORT = -93,
	ERR_SOCKTNOSUPPORT = -94,
	ERR_OPNOTSUPP = -95,
	ERR_PFNOSUPPORT = -96,
	ERR_AFNOSUPPORT = -97,
	ERR_ADDRINUSE = -98,
	ERR_ADDRNOTAVAIL = -99,
	ERR_NETDOWN = -100,
	ERR_NETUNREACH = -101,
	ERR_NETRESET = -102,
	ERR_CONNABORTED = -103,
	ERR_CONNRESET = -104,
	ERR_NOBUFS = -105,
	ERR_ISCONN = -106,
	ERR_NOTCONN = -107,
	ERR_TOOMANYREFS = -109,
	ERR_TIMEDOUT = -110,
	ERR_CONNREFUSED = -111,
	ERR_HOSTDOWN = -112,
	ERR_HOSTUNREACH = -113,
	ERR_ALREADY = -114,
	ERR_INPROGRESS = -115,

	/*
	 * Never seen by user programs: a call interrupted by a signal asks the signal
	 * code to restart it or to turn the result into ERR_INTR (kernel/proc/signal.h).
	 */
	ERR_RESTARTSYS = -512,    /* restart if SA_RESTART */
	ERR_RESTARTNOINTR = -513, /* always restart */
	ERR_RESTARTNOHAND = -514, /* restart only if no handler ran */
	ERR_RESTART_BLOCK = -516, /* restart through restart_syscall() */
};

/* Pointers that may carry an error, for the few calls where a pointer is the result. */
static inline void *
err_ptr(long err)
{
	return (void *)(intptr_t)err;
}

static inline bool
is_err(const void *p)
{
	return (uintptr_t)p >= (uintptr_t)-4095;
}

static inline long
ptr_err(const void *p)
{
	return (long)(intptr_t)p;
}
