/*
 * The wiring diagram: kernel_main brings up every room, top to bottom. The only file of the
 * core that may include all the others.
 */
#include "acpi/acpi.h"
#include "drivers/char/console.h"
#include "drivers/char/fbcon.h"
#include "drivers/char/keyboard.h"
#include "drivers/char/serial.h"
#include "drivers/char/pty.h"
#include "drivers/char/tty.h"
#include "drivers/device.h"
#include "drivers/pci/pci.h"
#include "fs/vfs.h"
#include "kernel/boot.h"
#include "kernel/cmdline.h"
#include "kernel/file.h"
#include "kernel/ipc/futex.h"
#include "kernel/ipc/sysv.h"
#include "kernel/init.h"
#include "kernel/irq/irq.h"
#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/platform.h"
#include "kernel/power.h"
#include "kernel/proc/coredump.h"
#include "kernel/proc/process.h"
#include "kernel/proc/seccomp.h"
#include "kernel/proc/syscall.h"
#include "kernel/random.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/thread.h"
#include "kernel/selftest.h"
#include "kernel/time/clock.h"
#include "kernel/vdso/vdso.h"
#include "kernel/x86/cpu_init.h"
#include "kernel/x86/features.h"
#include "kernel/x86/smp.h"
#include "lib/fmt.h"
#include "mm/aspace.h"
#include "mm/kva.h"
#include "mm/mem_proc.h"
#include "mm/page.h"
#include "mm/reclaim.h"
#include "mm/slab.h"
#include "net/init.h"

NORETURN void kernel_main(const struct boot_info *boot);

extern uint64_t kernel_entry_tsc; /* TSC at _start, kernel/x86/entry.asm */

static const char *
boot_path_name(const struct boot_info *boot)
{
	static const char *const names[] = {
	    [BOOT_PATH_EFI] = "EFI",
	    [BOOT_PATH_MULTIBOOT2] = "Multiboot2",
	    [BOOT_PATH_PVH] = "PVH",
	};

	return boot->path < ARRAY_SIZE(names) && names[boot->path] ? names[boot->path]
	                                                           : "?";
}

/* The first output: the time stamp that benchmarks look for, then who we are. */
static void
say_hello(const struct boot_info *boot)
{
	char line[48];
	int n = scnprintf(line, sizeof(line), "KENTRY tsc=%lu\n", kernel_entry_tsc);

	serial_early_write(line, (size_t)n);
	log_notice("Keel %s, started through %s by %s", KEEL_VERSION,
	    boot_path_name(boot), boot->loader_name);
}

/* Entered by _start (kernel/x86/entry.asm) on a boot stack; see kernel/boot.h. */
NORETURN void
kernel_main(const struct boot_info *boot)
{
	const char *cmdline =
	    boot->cmdline ? (const char *)(boot->direct_map_base + boot->cmdline) : "";

	cpu_init_boot();       /* per-CPU data, exceptions are reported */
	serial_early_init();   /* from here on there is output */
	boot_info_check(boot); /* was it our loader? */
	cmdline_init(cmdline);
	log_init();
	say_hello(boot);
	boot_info_log(boot);
	features_log();
	frames_init(boot); /* memory: frames, objects, the kernel's own page table */
	slab_init();
	kva_init();
	aspace_init(); /* programs' memory */
	cpu_guard_boot_stack();
	cpu_enable_pcid(); /* on the kernel's own table, before any program's */
	acpi_describe(boot, &platform); /* what machine this is */
	power_init();                   /* from here on it can be switched off */
	irq_init();                     /* interrupt controllers, all lines masked */
	vdso_init();
	clock_init(boot);     /* time runs */
	sched_init();         /* threads: this is one; interrupts are on */
	clock_refine_later(); /* measures the TSC again, longer */
	random_init(boot);
	process_init(); /* the tables of processes, files, futexes */
	file_init();
	futex_init();
	sysv_init(); /* shared memory, semaphores, message queues */
	syscall_init();
	smp_start();     /* the other processors */
	fs_init();       /* the root file system, empty */
	mem_proc_init(); /* files in /proc */
	sched_tunables_init();
	reclaim_init(); /* the thread that gives memory back */
	coredump_init();
	seccomp_init();
	irq_proc_init();
	net_init(); /* protocols, and the loopback interface */
	tty_init(); /* terminals, and which is the console */
	pty_init(); /* pairs of them, for programs */
	console_init();
	serial_init();
	fbcon_init(&boot->fb);
	keyboard_init(fbcon_tty());
	pci_init();                /* finds devices */
	dev_attach_all();          /* and their drivers */
	initramfs_unpack(boot);    /* the initial file system */
	fs_mount_standard();       /* /dev, /proc, /sys */
	frames_free_boot_memory(); /* *boot is gone from here on */
	if (CONFIG_DEBUG)
		selftest_run(); /* selftest=NAME: tests inside the kernel */
	first_process_start();
	thread_exit();
}
