/* Exceptions in words and as signals: pure tables, tested on the host. */
#pragma once

#include "lib/types.h"

struct trap_frame;

/* Page-fault error code (SDM vol. 3, 4.7). */
enum pf_error {
	PF_PRESENT = 1 << 0, /* a protection violation, not a missing page */
	PF_WRITE = 1 << 1,
	PF_USER = 1 << 2,
	PF_RESERVED = 1 << 3, /* reserved bit set in a page-table entry */
	PF_FETCH = 1 << 4,
};

/* "general protection", or "vector N" style for those without a meaning. */
const char *trap_name(uint64_t vector);
const char *trap_mnemonic(uint64_t vector); /* "#GP" */

/* The error code in words ("write to a page that is not there"); "" when the vector has
 * none. */
int trap_error_text(uint64_t vector, uint64_t error, char *buf, size_t size);

/*
 * What a UBSan trap of the debug build found, from the eight bytes at the #UD ("shift out
 * of bounds"); NULL: the instruction is no such trap.
 */
const char *trap_ubsan_text(uint64_t insn);

struct trap_signal {
	uint8_t signo;
	int16_t code;     /* si_code */
	bool has_address; /* si_addr is the instruction's */
};

/*
 * The signal with which Linux answers this exception of a user program. Not for #PF.
 * `fpu_status` is the pending unmasked exception bits of #MF (status word) and #XM
 * (MXCSR).
 */
struct trap_signal trap_signal(uint64_t vector, uint32_t fpu_status);
