/* Exceptions in words and as signals; see trap_decode.h. */
#include "kernel/x86/trap_decode.h"

#include "kernel/proc/signal.h"
#include "kernel/x86/trap.h"
#include "lib/fmt.h"

// clang-format off
/* SDM vol. 3, table 6-1; APM vol. 2, 8.2 for 28..30. */
static const struct {
	const char *mnemonic, *name;
} vectors[TRAP_VECTORS] = {
	[TRAP_DE] = { "#DE", "divide error" },
	[TRAP_DB] = { "#DB", "debug" },
	[TRAP_NMI] = { "NMI", "non-maskable interrupt" },
	[TRAP_BP] = { "#BP", "breakpoint" },
	[TRAP_OF] = { "#OF", "overflow" },
	[TRAP_BR] = { "#BR", "bound range exceeded" },
	[TRAP_UD] = { "#UD", "invalid opcode" },
	[TRAP_NM] = { "#NM", "device not available" },
	[TRAP_DF] = { "#DF", "double fault" },
	[TRAP_FPU_SEG] = { "FPU", "coprocessor segment overrun" },
	[TRAP_TS] = { "#TS", "invalid TSS" },
	[TRAP_NP] = { "#NP", "segment not present" },
	[TRAP_SS] = { "#SS", "stack segment fault" },
	[TRAP_GP] = { "#GP", "general protection" },
	[TRAP_PF] = { "#PF", "page fault" },
	[TRAP_MF] = { "#MF", "x87 floating-point error" },
	[TRAP_AC] = { "#AC", "alignment check" },
	[TRAP_MC] = { "#MC", "machine check" },
	[TRAP_XM] = { "#XM", "SIMD floating-point error" },
	[TRAP_VE] = { "#VE", "virtualization exception" },
	[TRAP_CP] = { "#CP", "control protection" },
	[28] = { "#HV", "hypervisor injection" },
	[29] = { "#VC", "VMM communication" },
	[30] = { "#SX", "security exception" },
};
// clang-format on

const char *
trap_name(uint64_t vector)
{
	if (vector == TRAP_SYSCALL)
		return "system call";
	if (vector >= TRAP_VECTORS)
		return "interrupt";
	return vectors[vector].name ? vectors[vector].name : "reserved exception";
}

const char *
trap_mnemonic(uint64_t vector)
{
	return vector < TRAP_VECTORS && vectors[vector].mnemonic
	           ? vectors[vector].mnemonic
	           : "none";
}

/* SDM vol. 3, 6.13: external event, table, index. */
static int
selector_text(uint64_t error, char *buf, size_t size)
{
	static const char *const tables[] = {"GDT", "IDT", "LDT", "IDT"};

	if (!error)
		return scnprintf(buf, size, "no selector");
	return scnprintf(buf, size, "%s entry %u%s", tables[error >> 1 & 3],
	    (unsigned)(error >> 3 & 0x1fff), error & 1 ? ", external event" : "");
}

static int
page_fault_text(uint64_t error, char *buf, size_t size)
{
	const char *what = error & PF_FETCH   ? "instruction fetch from"
	                   : error & PF_WRITE ? "write to"
	                                      : "read of";
	const char *why = error & PF_RESERVED  ? "a page-table entry with reserved bits"
	                  : error & PF_PRESENT ? "a page without that right"
	                                       : "a page that is not there";

	return scnprintf(buf, size, "%s %s, in %s mode", what, why,
	    error & PF_USER ? "user" : "kernel");
}

/* Whether the error code names a descriptor. */
static bool
has_selector(uint64_t vector)
{
	return vector == TRAP_TS || vector == TRAP_NP || vector == TRAP_SS ||
	       vector == TRAP_GP;
}

int
trap_error_text(uint64_t vector, uint64_t error, char *buf, size_t size)
{
	if (vector == TRAP_PF)
		return page_fault_text(error, buf, size);
	if (has_selector(vector))
		return selector_text(error, buf, size);
	if (size)
		buf[0] = '\0';
	return 0;
}

/* clang -fsanitize-trap puts its number of the check into UD1's displacement: 67 0f b9 40
 * NN. */
const char *
trap_ubsan_text(uint64_t insn)
{
	static const char *const checks[] = {
	    [0] = "addition overflows",
	    [1] = "code that cannot be reached",
	    [3] = "division overflows or is by zero",
	    [10] = "value that the type does not have",
	    [11] = "function ends without its result",
	    [12] = "multiplication overflows",
	    [13] = "negation overflows",
	    [16] = "null argument",
	    [17] = "null result",
	    [18] = "index out of bounds",
	    [19] = "pointer arithmetic overflows",
	    [20] = "shift out of bounds",
	    [21] = "subtraction overflows",
	    [22] = "null or misaligned pointer",
	};
	uint64_t check = insn >> 32 & 0xff;

	if ((insn & 0xffffffff) != 0x40b90f67)
		return NULL;
	return check < ARRAY_SIZE(checks) && checks[check] ? checks[check]
	                                                   : "other check";
}

/* SDM vol. 1, 8.1.3.3 and 10.2.3.1: the six flags are the same bits in both. */
static int16_t
fpu_code(uint32_t status)
{
	enum { FPE_FLTDIV = 3, FPE_FLTOVF, FPE_FLTUND, FPE_FLTRES };

	if (status & 0x01)
		return FPE_FLTINV;
	if (status & 0x04)
		return FPE_FLTDIV;
	if (status & 0x08)
		return FPE_FLTOVF;
	if (status & 0x12)
		return FPE_FLTUND; /* underflow, and denormal operand as Linux does */
	if (status & 0x20)
		return FPE_FLTRES;
	return 0;
}

struct trap_signal
trap_signal(uint64_t vector, uint32_t fpu_status)
{
	switch (vector) {
	case TRAP_DE: return (struct trap_signal){SIGFPE, FPE_INTDIV, true};
	case TRAP_DB: return (struct trap_signal){SIGTRAP, TRAP_TRACE, true};
	case TRAP_BP: return (struct trap_signal){SIGTRAP, SI_KERNEL, false};
	case TRAP_UD: return (struct trap_signal){SIGILL, ILL_ILLOPN, true};
	case TRAP_FPU_SEG: return (struct trap_signal){SIGFPE, SI_KERNEL, false};
	case TRAP_NP:
	case TRAP_SS: return (struct trap_signal){SIGBUS, SI_KERNEL, false};
	case TRAP_MF:
	case TRAP_XM: return (struct trap_signal){SIGFPE, fpu_code(fpu_status), true};
	case TRAP_AC: return (struct trap_signal){SIGBUS, BUS_ADRALN, false};
	default: return (struct trap_signal){SIGSEGV, SI_KERNEL, false};
	}
}
