/* Exceptions in words and as signals. LINK: kernel/x86/trap_decode.c lib/fmt.c
 * lib/string.c */
#include "kernel/x86/trap_decode.h"

#include "kernel/proc/signal.h"
#include "kernel/x86/trap.h"
#include "lib/string.h"
#include "tests/unit/ktest.h"

static bool
says(uint64_t vector, uint64_t error, const char *expected)
{
	char buf[96];

	trap_error_text(vector, error, buf, sizeof(buf));
	return !strcmp(buf, expected);
}

KTEST(every_vector_has_a_name)
{
	for (unsigned v = 0; v < 400; v++) {
		CHECK(trap_name(v) && trap_name(v)[0]);
		CHECK(trap_mnemonic(v) && trap_mnemonic(v)[0]);
	}
	CHECK(!strcmp(trap_name(TRAP_GP), "general protection"));
	CHECK(!strcmp(trap_mnemonic(TRAP_CP), "#CP"));
	CHECK(!strcmp(trap_name(27), "reserved exception"));
}

KTEST(page_fault_error_codes_are_told_apart)
{
	CHECK(says(TRAP_PF, 0, "read of a page that is not there, in kernel mode"));
	CHECK(says(TRAP_PF, PF_WRITE | PF_USER,
	    "write to a page that is not there, in user mode"));
	CHECK(says(TRAP_PF, PF_PRESENT | PF_WRITE,
	    "write to a page without that right, in kernel mode"));
	CHECK(says(TRAP_PF, PF_PRESENT | PF_FETCH,
	    "instruction fetch from a page without that right, in kernel mode"));
	CHECK(says(TRAP_PF, PF_PRESENT | PF_RESERVED,
	    "read of a page-table entry with reserved bits, in kernel mode"));
}

KTEST(selector_error_codes_name_table_and_entry)
{
	CHECK(says(TRAP_GP, 0, "no selector"));
	CHECK(says(TRAP_GP, 0x78, "GDT entry 15"));
	CHECK(says(TRAP_NP, 0x80 * 8 + 3, "IDT entry 128, external event"));
	CHECK(says(TRAP_TS, 0x14, "LDT entry 2"));
	CHECK(says(TRAP_UD, 0, ""));
}

static bool
gives(uint64_t vector, uint32_t status, int signo, int code)
{
	struct trap_signal s = trap_signal(vector, status);

	return s.signo == signo && s.code == code;
}

KTEST(exceptions_become_the_signals_of_linux)
{
	CHECK(gives(TRAP_DE, 0, SIGFPE, FPE_INTDIV));
	CHECK(gives(TRAP_DB, 0, SIGTRAP, TRAP_TRACE));
	CHECK(gives(TRAP_BP, 0, SIGTRAP, SI_KERNEL));
	CHECK(gives(TRAP_OF, 0, SIGSEGV, SI_KERNEL));
	CHECK(gives(TRAP_BR, 0, SIGSEGV, SI_KERNEL));
	CHECK(gives(TRAP_UD, 0, SIGILL, ILL_ILLOPN));
	CHECK(gives(TRAP_NP, 0, SIGBUS, SI_KERNEL));
	CHECK(gives(TRAP_SS, 0, SIGBUS, SI_KERNEL));
	CHECK(gives(TRAP_GP, 0, SIGSEGV, SI_KERNEL));
	CHECK(gives(TRAP_AC, 0, SIGBUS, BUS_ADRALN));
	CHECK(
	    trap_signal(TRAP_DE, 0).has_address && !trap_signal(TRAP_GP, 0).has_address);
}

KTEST(floating_point_flags_choose_the_code)
{
	CHECK(gives(TRAP_MF, 0x01, SIGFPE, FPE_FLTINV));
	CHECK(gives(TRAP_XM, 0x04, SIGFPE, 3)); /* FPE_FLTDIV */
	CHECK(gives(TRAP_XM, 0x08, SIGFPE, 4)); /* FPE_FLTOVF */
	CHECK(gives(TRAP_MF, 0x10, SIGFPE, 5)); /* FPE_FLTUND */
	CHECK(gives(TRAP_MF, 0x20, SIGFPE, 6)); /* FPE_FLTRES */
}

KTEST(ubsan_traps_are_known_by_their_instruction)
{
	CHECK(!strcmp(trap_ubsan_text(0xcccccc1240b90f67), "index out of bounds"));
	CHECK(!strcmp(trap_ubsan_text(0x1440b90f67), "shift out of bounds"));
	CHECK(!strcmp(trap_ubsan_text(0xff40b90f67), "other check"));
	CHECK(!trap_ubsan_text(0x0b0f)); /* UD2 */
}
