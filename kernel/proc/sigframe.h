/* Structures of the signal calls as they lie in user memory. */
#pragma once

#include "lib/types.h"

struct stack {
	uint64_t sp;
	int32_t flags;
	uint32_t pad; /* shown to programs */
	uint64_t size;
};

enum { SS_ONSTACK = 1, SS_DISABLE = 2, MINSIGSTKSZ = 2048 };
#define SS_AUTODISARM (1u << 31)

struct user_siginfo {
	int32_t signo, errno_, code, pad;
	union {
		uint8_t raw[112];
		struct {
			uint32_t pid, uid;
			uint64_t value;
		} rt; /* kill too, and timers: id, overrun, value */
		struct {
			uint32_t pid, uid;
			int32_t status, pad;
			int64_t utime, stime;
		} child;
		struct {
			uint64_t band; /* POLL* bits */
			int32_t fd;
		} poll;        /* of files */
		uint64_t addr; /* faults */
		struct {
			uint64_t addr;
			int32_t nr;
			uint32_t arch;
		} call; /* SIGSYS of seccomp */
	};
};

static_assert(sizeof(struct user_siginfo) == 128, "siginfo_t layout");

struct siginfo;

/* The kernel's siginfo in the user's layout, by the kind of signal. */
void siginfo_layout(struct user_siginfo *to, const struct siginfo *from);
