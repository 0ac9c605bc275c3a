/*
 * The wiring diagram: kernel_main brings up every room, top to bottom. The only file of the
 * core that may include all the others.
 */
#include "kernel/boot.h"

NORETURN void kernel_main(const struct boot_info *boot);

/* Entered by _start (kernel/x86/entry.asm) on the loader's stack; see kernel/boot.h. */
NORETURN void
kernel_main(const struct boot_info *boot)
{
	(void)boot;
	for (;;)
		__asm__ volatile("cli; hlt");
}
