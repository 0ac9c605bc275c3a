# Keel. `make help` lists the targets; docs/architecture.md tells what the rooms are.
#
# All output goes to $(B). BUILD=debug builds the checking kernel (assertions, lock ranks,
# poison, UBSan) into a folder of its own. The lists below are the configuration: a file
# that is not listed is not in the kernel.

VERSION := 0.1
BUILD ?= release
B := build/$(BUILD)
GEN := $(B)/gen

# All processors, unless -j says otherwise.
ifeq ($(filter -j% --jobserver%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc)
endif

CC := clang
LD := ld.lld
NASM := nasm
PYTHON := /usr/bin/python3

# make V=1 shows the whole commands.
Q := $(if $(V),,@)
say := @printf '%-5s %s\n'

# ---- What the kernel consists of, room by room -------------------------------------

SRCS_lib := \
	lib/bpf.c \
	lib/chacha20.c \
	lib/cpio.c \
	lib/crc32.c \
	lib/fmt.c \
	lib/inet_csum.c \
	lib/inflate.c \
	lib/rbtree.c \
	lib/siphash.c \
	lib/string.c

SRCS_kernel := \
	kernel/boot.c \
	kernel/cmdline.c \
	kernel/file.c \
	kernel/init.c \
	kernel/log.c \
	kernel/main.c \
	kernel/monitor.c \
	kernel/panic.c \
	kernel/platform.c \
	kernel/random.c \
	kernel/symbols.c \
	kernel/syslog.c \
	kernel/vdso/image.asm \
	kernel/vdso/vdso.c

SRCS_kernel_x86 := \
	kernel/x86/apic.c \
	kernel/x86/apic_timer.c \
	kernel/x86/backtrace.c \
	kernel/x86/breakpoints.c \
	kernel/x86/context.c \
	kernel/x86/cpu_init.c \
	kernel/x86/descriptors.c \
	kernel/x86/entry.asm \
	kernel/x86/features.c \
	kernel/x86/fpu.c \
	kernel/x86/ioapic.c \
	kernel/x86/ipi.c \
	kernel/x86/mce.c \
	kernel/x86/pic.c \
	kernel/x86/power.c \
	kernel/x86/smp.c \
	kernel/x86/switch.asm \
	kernel/x86/syscall.asm \
	kernel/x86/topology.c \
	kernel/x86/trampoline.asm \
	kernel/x86/trap_decode.c \
	kernel/x86/traps.c \
	kernel/x86/user_regs.c \
	kernel/x86/usercopy.asm

# Only in the debug kernel: tests that run inside (selftest=).
SRCS_selftest := \
	drivers/net/selftest_rings.c \
	drivers/pci/selftest.c \
	kernel/irq/selftest.c \
	kernel/panic_selftest.c \
	kernel/selftest.c \
	kernel/sched/selftest.c \
	kernel/sync/selftest.c \
	kernel/x86/selftest.c \
	kernel/x86/smp_selftest.c \
	mm/selftest.c

SRCS_kernel_sync := \
	kernel/sync/held.c \
	kernel/sync/mutex.c \
	kernel/sync/rcu.c \
	kernel/sync/rwsem.c \
	kernel/sync/spinlock.c \
	kernel/sync/wait.c

SRCS_kernel_sched := \
	kernel/sched/balance.c \
	kernel/sched/inherit.c \
	kernel/sched/ioprio.c \
	kernel/sched/params.c \
	kernel/sched/placement.c \
	kernel/sched/policy.c \
	kernel/sched/runqueue.c \
	kernel/sched/sched.c \
	kernel/sched/stats.c \
	kernel/sched/syscalls.c \
	kernel/sched/thread.c \
	kernel/sched/tid.c \
	kernel/sched/tunables.c

SRCS_kernel_time := \
	kernel/time/adjtime.c \
	kernel/time/calibrate.c \
	kernel/time/clock.c \
	kernel/time/reference.c \
	kernel/time/rtc.c \
	kernel/time/sys_time.c \
	kernel/time/timer.c

SRCS_kernel_irq := \
	kernel/irq/irq.c \
	kernel/irq/msi.c \
	kernel/irq/proc_interrupts.c \
	kernel/irq/vectors.c

SRCS_kernel_proc := \
	kernel/proc/access.c \
	kernel/proc/async.c \
	kernel/proc/coredump.c \
	kernel/proc/coredump_elf.c \
	kernel/proc/coredump_name.c \
	kernel/proc/cpu_limits.c \
	kernel/proc/cred.c \
	kernel/proc/exec.c \
	kernel/proc/exec_cred.c \
	kernel/proc/exec_elf.c \
	kernel/proc/exec_first.c \
	kernel/proc/exec_stack.c \
	kernel/proc/exec_strings.c \
	kernel/proc/exit.c \
	kernel/proc/fdtable.c \
	kernel/proc/fork.c \
	kernel/proc/itimer.c \
	kernel/proc/membarrier.c \
	kernel/proc/pidfd.c \
	kernel/proc/posix_timer.c \
	kernel/proc/prctl_caps.c \
	kernel/proc/prctl_values.c \
	kernel/proc/process.c \
	kernel/proc/ptrace.c \
	kernel/proc/rseq.c \
	kernel/proc/seccomp.c \
	kernel/proc/seccomp_notify.c \
	kernel/proc/session.c \
	kernel/proc/sigframe.c \
	kernel/proc/signal.c \
	kernel/proc/signal_deliver.c \
	kernel/proc/sys_fd.c \
	kernel/proc/sys_ids.c \
	kernel/proc/sys_limits.c \
	kernel/proc/sys_misc.c \
	kernel/proc/sys_process_vm.c \
	kernel/proc/sys_ptrace.c \
	kernel/proc/sys_signal.c \
	kernel/proc/syscall.c \
	kernel/proc/unshare.c \
	kernel/proc/wait.c

SRCS_kernel_ipc := \
	kernel/ipc/epoll.c \
	kernel/ipc/eventfd.c \
	kernel/ipc/futex.c \
	kernel/ipc/futex_pi.c \
	kernel/ipc/futex_robust.c \
	kernel/ipc/futex_waitv.c \
	kernel/ipc/mqueue.c \
	kernel/ipc/pipe.c \
	kernel/ipc/poll.c \
	kernel/ipc/signalfd.c \
	kernel/ipc/sysv.c \
	kernel/ipc/sysv_msg.c \
	kernel/ipc/sysv_sem.c \
	kernel/ipc/sysv_shm.c \
	kernel/ipc/timerfd.c

SRCS_mm := \
	mm/access.c \
	mm/advise.c \
	mm/anon.c \
	mm/area.c \
	mm/aspace.c \
	mm/cold.c \
	mm/commit.c \
	mm/dma.c \
	mm/dump.c \
	mm/evict.c \
	mm/fault.c \
	mm/filemap.c \
	mm/frames.c \
	mm/frames_boot.c \
	mm/huge.c \
	mm/kmalloc.c \
	mm/kpages.c \
	mm/kva.c \
	mm/kva_space.c \
	mm/lazyfree.c \
	mm/map.c \
	mm/mem_proc.c \
	mm/mmap.c \
	mm/mempolicy.c \
	mm/mlock.c \
	mm/oom.c \
	mm/pagecache.c \
	mm/pagetable.c \
	mm/process_madvise.c \
	mm/reclaim.c \
	mm/remap.c \
	mm/shmem.c \
	mm/slab.c \
	mm/slab_debug.c \
	mm/sysctl.c \
	mm/tlb.c \
	mm/uio.c \
	mm/usage.c \
	mm/usercopy.c \
	mm/userpt.c

SRCS_acpi := \
	acpi/acpi.c \
	acpi/devices.c \
	acpi/fadt.c \
	acpi/madt.c \
	acpi/map.c \
	acpi/numa.c \
	acpi/tables.c

SRCS_fs := \
	fs/anon.c \
	fs/attr.c \
	fs/change.c \
	fs/context.c \
	fs/data.c \
	fs/dcache.c \
	fs/dev_mem.c \
	fs/device.c \
	fs/file_caps.c \
	fs/init.c \
	fs/initramfs.c \
	fs/inode.c \
	fs/inotify.c \
	fs/locks.c \
	fs/memfd.c \
	fs/mount.c \
	fs/mqueue.c \
	fs/namei.c \
	fs/notify.c \
	fs/open.c \
	fs/permission.c \
	fs/proc_fail.c \
	fs/proc_fd.c \
	fs/proc_global.c \
	fs/proc_mem.c \
	fs/proc_ns.c \
	fs/proc_oom.c \
	fs/proc_options.c \
	fs/proc_number.c \
	fs/proc_pid.c \
	fs/proc_smaps.c \
	fs/proc_stat.c \
	fs/procfs.c \
	fs/seq.c \
	fs/protect.c \
	fs/sock_node.c \
	fs/sys_mount.c \
	fs/sys_names.c \
	fs/sys_rw.c \
	fs/sys_stat.c \
	fs/sys_xattr.c \
	fs/sysfs.c \
	fs/tmpfs.c \
	fs/xattr.c

SRCS_drivers := \
	drivers/char/console.c \
	drivers/char/devpts.c \
	drivers/char/fbcon.c \
	drivers/char/keyboard.c \
	drivers/char/keymap.c \
	drivers/char/ldisc.c \
	drivers/char/pty.c \
	drivers/char/serial.c \
	drivers/char/tty.c \
	drivers/char/tty_ioctl.c \
	drivers/char/tty_job.c \
	drivers/char/vt.c \
	drivers/device.c \
	drivers/net/e1000.c \
	drivers/net/e1000_filter.c \
	drivers/net/e1000_hw.c \
	drivers/net/e1000_netdev.c \
	drivers/net/e1000_rx.c \
	drivers/net/e1000_tx.c \
	drivers/net/e1000e.c \
	drivers/net/virtio_net.c \
	drivers/net/virtio_net_ctrl.c \
	drivers/net/virtio_net_data.c \
	drivers/pci/config.c \
	drivers/pci/enumerate.c \
	drivers/pci/intx.c \
	drivers/pci/msi.c \
	drivers/pci/pci.c \
	drivers/pci/pci_files.c \
	drivers/virtio/ring.c \
	drivers/virtio/virtio.c

SRCS_net := \
	net/addrsel.c \
	net/arp.c \
	net/autoconf.c \
	net/autoconf_args.c \
	net/cmsg.c \
	net/conf.c \
	net/dhcp4.c \
	net/dhcp4_machine.c \
	net/dhcp4_msg.c \
	net/dhcp6.c \
	net/dhcp6_msg.c \
	net/dns6.c \
	net/drops.c \
	net/dst.c \
	net/ether.c \
	net/ethtool.c \
	net/fib.c \
	net/filter.c \
	net/gro.c \
	net/gso.c \
	net/icmp4.c \
	net/icmp6.c \
	net/icmp_limit.c \
	net/ifaddr.c \
	net/ifconf.c \
	net/ifconf_inet.c \
	net/ifconf_inet6.c \
	net/ifconf_proc.c \
	net/igmp.c \
	net/inbox.c \
	net/inet.c \
	net/inet_dgram.c \
	net/inet_err.c \
	net/inet_mc.c \
	net/inet_msg.c \
	net/inet_opt.c \
	net/inet_port.c \
	net/inet_proc.c \
	net/init.c \
	net/ip.c \
	net/ip4.c \
	net/ip4_frag.c \
	net/ip4_fwd.c \
	net/ip4_options.c \
	net/ip4_out.c \
	net/ip6.c \
	net/ip6_ext.c \
	net/ip6_frag.c \
	net/ip6_fwd.c \
	net/ip6_out.c \
	net/ip_addr.c \
	net/ip_mc.c \
	net/ip_mc_proc.c \
	net/ip_mc_report.c \
	net/linklocal4.c \
	net/loopback.c \
	net/mc_filter.c \
	net/mib.c \
	net/mib_proc.c \
	net/mld.c \
	net/nd.c \
	net/nd_options.c \
	net/nd_router.c \
	net/neigh.c \
	net/net_timer.c \
	net/netdev.c \
	net/netlink.c \
	net/netlink_msg.c \
	net/packet.c \
	net/packet_ring.c \
	net/ping.c \
	net/pkt.c \
	net/pkt_data.c \
	net/raw.c \
	net/resolv.c \
	net/route.c \
	net/route_proc.c \
	net/rtnl_addr.c \
	net/rtnl_link.c \
	net/rtnl_neigh.c \
	net/rtnl_route.c \
	net/rx.c \
	net/slaac.c \
	net/sock_diag.c \
	net/sock_opt.c \
	net/sock_stamp.c \
	net/socket.c \
	net/sys_socket.c \
	net/sys_sockmsg.c \
	net/sysctl.c \
	net/tcp.c \
	net/tcp_cc.c \
	net/tcp_cc_cubic.c \
	net/tcp_cc_reno.c \
	net/tcp_conn.c \
	net/tcp_core.c \
	net/tcp_input.c \
	net/tcp_input_ack.c \
	net/tcp_input_data.c \
	net/tcp_isn.c \
	net/tcp_listen.c \
	net/tcp_mem.c \
	net/tcp_mtu.c \
	net/tcp_opt.c \
	net/tcp_options.c \
	net/tcp_out.c \
	net/tcp_output.c \
	net/tcp_proc.c \
	net/tcp_rack.c \
	net/tcp_rcvbuf.c \
	net/tcp_recover.c \
	net/tcp_request.c \
	net/tcp_rtt.c \
	net/tcp_sack.c \
	net/tcp_send.c \
	net/tcp_sndbuf.c \
	net/tcp_sock.c \
	net/tcp_sysctl.c \
	net/tcp_table.c \
	net/tcp_timer.c \
	net/tcp_timewait.c \
	net/tcp_tw.c \
	net/tcp_tx.c \
	net/tx.c \
	net/udp.c \
	net/unix.c \
	net/unix_conn.c \
	net/unix_dgram.c \
	net/unix_fds.c \
	net/unix_gc.c \
	net/unix_graph.c \
	net/unix_msg.c \
	net/unix_name.c \
	net/unix_stream.c \
	net/vlan.c

SRCS_loader := \
	loader/efimap.c \
	loader/entropy.c \
	loader/handover.c \
	loader/memmap.c \
	loader/multiboot2/door.c \
	loader/multiboot2/entry.asm \
	loader/multiboot2/multiboot2.c \
	loader/multiboot2/pvh.c \
	loader/pagetable.c

# The EFI loader: its own files, and what it shares with the kernel and the other doors.
SRCS_loader_efi := \
	lib/fmt.c \
	lib/string.c \
	loader/config.c \
	loader/efi/console.c \
	loader/efi/file.c \
	loader/efi/firmware.c \
	loader/efi/handover.c \
	loader/efi/jump.asm \
	loader/efi/kernel.c \
	loader/efi/main.c \
	loader/efi/memory.c \
	loader/efi/pci.c \
	loader/efi/video.c \
	loader/efimap.c \
	loader/elf.c \
	loader/entropy.c \
	loader/handover.c \
	loader/memmap.c \
	loader/pagetable.c \
	loader/rsdp.c

KERNEL_SRCS := $(SRCS_lib) $(SRCS_kernel) $(SRCS_kernel_x86) $(SRCS_kernel_sync) \
	$(SRCS_kernel_sched) $(SRCS_kernel_time) $(SRCS_kernel_irq) $(SRCS_kernel_proc) \
	$(SRCS_kernel_ipc) $(SRCS_mm) $(SRCS_acpi) $(SRCS_net) $(SRCS_fs) $(SRCS_drivers) \
	$(SRCS_loader)
KERNEL_SRCS += $(if $(filter debug,$(BUILD)),$(SRCS_selftest))

# ---- Flags -------------------------------------------------------------------------

WARN := -Wall -Wextra -Werror -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes \
	-Wimplicit-fallthrough -Wthread-safety -Wframe-larger-than=1024 -Wno-unused-parameter \
	-Wno-sign-compare

# One set of paths in debug information, wherever the tree lies: builds repeat bit by bit.
REPRO := -ffile-prefix-map=$(CURDIR)=. -Wdate-time

CFLAGS := --target=x86_64-unknown-none-elf -std=gnu17 -ffreestanding -O2 -g $(WARN) $(REPRO) \
	-fpie -mcmodel=small -fvisibility=hidden -fdirect-access-external-data \
	-mno-red-zone -mgeneral-regs-only -fno-stack-protector -fno-omit-frame-pointer \
	-mno-omit-leaf-frame-pointer -fno-strict-aliasing -fno-delete-null-pointer-checks \
	-ffunction-sections -fdata-sections -I. -I$(GEN)

ifeq ($(BUILD),debug)
CFLAGS += -DCONFIG_DEBUG=1 -fsanitize=undefined -fsanitize-trap=undefined \
	-fno-sanitize=alignment,function,pointer-overflow -ftrivial-auto-var-init=pattern
else
CFLAGS += -DCONFIG_DEBUG=0
endif

CFLAGS += -DKEEL_VERSION=\"$(VERSION)\"

# NASM writes the absolute path into its line numbers: only debug builds have them.
NASMFLAGS := -f elf64 $(if $(filter debug,$(BUILD)),-g -F dwarf) -I./ -I$(GEN)/
LDFLAGS := -nostdlib -pie --no-dynamic-linker --pack-dyn-relocs=relr --apply-dynamic-relocs \
	-z max-page-size=0x1000 -z noexecstack --gc-sections --build-id=none

KERNEL_OBJS := $(addprefix $(B)/obj/,$(addsuffix .o,$(KERNEL_SRCS))) \
	$(B)/obj/gen/syscalls_table.c.o $(B)/obj/gen/font.c.o

# ---- Targets -----------------------------------------------------------------------

.PHONY: all esp
all: $(B)/kernel.elf

# Twice: the first link gives the addresses for the table of function names, which lies last.
link = $(LD) $(LDFLAGS) -T kernel/kernel.ld -o

$(B)/kernel.elf: kernel/kernel.ld scripts/gen-symbols $(KERNEL_OBJS)
	$(say) LD $@
	$(Q)mkdir -p $(GEN)
	$(Q)$(link) $(B)/kernel.nosyms --print-gc-sections $(KERNEL_OBJS) >$(B)/gc.txt
	$(Q)scripts/gen-symbols $(B)/kernel.nosyms $(GEN)/symbols.asm
	$(Q)$(NASM) -f elf64 -o $(B)/obj/symbols.o $(GEN)/symbols.asm
	$(Q)$(link) $@ $(KERNEL_OBJS) $(B)/obj/symbols.o
	$(Q)scripts/gen-symbols --verify $(B)/kernel.nosyms $@

# Objects depend on the commands that make them, not on this file: adding a source compiles it alone.
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CFLAGS) $(NASM) $(NASMFLAGS) $(UNIT_CFLAGS)' | cmp -s - $@ || \
		echo '$(CC) $(CFLAGS) $(NASM) $(NASMFLAGS) $(UNIT_CFLAGS)' >$@
.PHONY: FORCE

# System calls: which handlers exist is seen in the sources themselves. The outputs keep their
# dates when they do not change, so the stamp, not they, is newer than the sources.
$(GEN)/syscalls.stamp: scripts/gen-syscalls kernel/syscalls.def $(KERNEL_SRCS)
	@mkdir -p $(GEN)
	$(say) GEN $(GEN)/syscalls.h
	$(Q)scripts/gen-syscalls kernel/syscalls.def $(GEN) $(KERNEL_SRCS)
	@touch $@

FONT := /usr/share/consolefonts/Unifont-APL8x16.psf.gz

$(GEN)/font.c: scripts/gen-font $(FONT)
	@mkdir -p $(GEN)
	$(say) GEN $@
	$(Q)scripts/gen-font $(FONT) $@

$(GEN)/syscalls.h $(GEN)/syscalls_table.c $(GEN)/syscalls_args.h: $(GEN)/syscalls.stamp ;

$(B)/obj/gen/%.c.o: $(GEN)/%.c $(B)/flags
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/obj/%.c.o: %.c $(B)/flags | $(GEN)/syscalls.h
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/obj/%.asm.o: %.asm $(B)/flags
	@mkdir -p $(@D)
	$(say) NASM $<
	$(Q)$(NASM) $(NASMFLAGS) -MD $(@:.o=.d) -MP -o $@ $<

# The EFI loader is a PE file without C library; the firmware is called as Microsoft does.
EFI_OBJS := $(addprefix $(B)/efi/,$(addsuffix .obj,$(SRCS_loader_efi)))
EFI_CFLAGS := --target=x86_64-unknown-windows -std=gnu17 -ffreestanding -fshort-wchar \
	-fno-ms-extensions -mno-red-zone -mno-stack-arg-probe -fno-stack-protector \
	-fno-strict-aliasing -O2 \
	$(WARN) $(REPRO) -isystem /usr/include/efi -isystem /usr/include/efi/x86_64 -I.

$(B)/BOOTX64.EFI: $(EFI_OBJS)
	$(say) LD $@
	$(Q)lld-link /nologo /Brepro /subsystem:efi_application /nodefaultlib /entry:efi_main \
		/out:$@ $(EFI_OBJS)

$(B)/efi/%.c.obj: %.c $(B)/flags
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(EFI_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/efi/%.asm.obj: %.asm $(B)/flags
	@mkdir -p $(@D)
	$(say) NASM $<
	$(Q)$(NASM) -f win64 -I./ -MD $(@:.obj=.d) -MP -o $@ $<

# Spoiled firmware for tests: programs that do one thing to it, then start the loader.
EFI_TESTS := $(addprefix build/release/efi/tests/efi/,chain.c.obj la57_switch.asm.obj)
build/release/%.efi: build/release/efi/tests/efi/%.c.obj $(EFI_TESTS)
	$(say) LD $@
	$(Q)lld-link /nologo /Brepro /subsystem:efi_application /nodefaultlib \
		/entry:efi_main /out:$@ $^

# What is installed, from the release build: the tree for an ESP, a disk image with it, and a GRUB
# image that starts the same kernel by Multiboot2.
DEFAULT_INITRD := build/initrd.cpio.gz
ESP := build/esp/EFI
ESP_FILES := $(ESP)/BOOT/BOOTX64.EFI $(ESP)/keel/kernel.elf $(ESP)/keel/initrd.cpio.gz \
	$(ESP)/keel/keel.conf

ifeq ($(BUILD),release)
all: esp build/keel.img

.PHONY: iso
iso: build/keel.iso
endif

esp: $(ESP_FILES)

$(ESP)/BOOT/BOOTX64.EFI: build/release/BOOTX64.EFI
	@mkdir -p $(@D)
	$(Q)cp $< $@

$(ESP)/keel/kernel.elf: build/release/kernel.elf
	@mkdir -p $(@D)
	$(say) STRIP $@
	$(Q)llvm-strip -o $@ $<

$(ESP)/keel/initrd.cpio.gz: $(DEFAULT_INITRD)
	@mkdir -p $(@D)
	$(Q)cp $< $@

$(ESP)/keel/keel.conf: esp/EFI/keel/keel.conf
	@mkdir -p $(@D)
	$(Q)cp $< $@

build/keel.img: scripts/mkimage $(ESP_FILES)
	$(say) IMAGE $@
	$(Q)scripts/mkimage $@ build/esp

build/keel.iso: esp/grub/grub.cfg $(ESP_FILES)
	$(say) ISO $@
	$(Q)rm -rf build/iso && mkdir -p build/iso/boot/grub
	$(Q)cp $(ESP)/keel/kernel.elf $(ESP)/keel/initrd.cpio.gz build/iso/boot/
	$(Q)cp esp/grub/grub.cfg build/iso/boot/grub/
	$(Q)grub-mkrescue -o $@ build/iso >build/iso.log 2>&1 || { cat build/iso.log; exit 1; }

# Host programs, under ASan and UBSan: unit tests tests/unit/ROOM/NAME_test.c, and libFuzzer targets
# tests/fuzz/NAME_fuzz.c. Each names what it links at the end of its head comment, "LINK: file.c ...";
# a source is compiled once for all unit tests, and once for all fuzzers.
UNIT_SRCS := $(sort $(wildcard tests/unit/*/*_test.c tests/unit/*/*/*_test.c))
UNIT_BINS := $(UNIT_SRCS:tests/unit/%.c=$(B)/unit/%)
FUZZ_SRCS := $(sort $(wildcard tests/fuzz/*_fuzz.c))
FUZZ_BINS := $(FUZZ_SRCS:tests/fuzz/%.c=$(B)/fuzz/%)
UNIT_CFLAGS := -std=gnu17 -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer -Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare \
	-Wno-unknown-attributes -DCONFIG_DEBUG=1 -include tests/unit/host.h -Itests/fakes -I. -I$(GEN)

.PHONY: unit
unit: $(UNIT_BINS)
	@tests/unit/run $(UNIT_BINS)

# Each fuzzer runs for FUZZ seconds and keeps what it learned in build/fuzz/NAME/. Some begin with files of
# tests/fuzz/corpus/NAME/. `make fuzz-link` only links them, and runs those files once.
FUZZ ?= 30
fuzz_corpus = $$(ls -d tests/fuzz/corpus/$$(basename $$f) 2>/dev/null)

.PHONY: fuzz fuzz-link
fuzz: $(FUZZ_BINS)
	@for f in $(FUZZ_BINS); do \
		mkdir -p build/fuzz/$$(basename $$f) && echo "fuzz $$(basename $$f), $(FUZZ) s" && \
		$$f -max_total_time=$(FUZZ) -verbosity=0 -artifact_prefix=build/fuzz/ \
			build/fuzz/$$(basename $$f) $(fuzz_corpus) || exit 1; \
	done

fuzz-link: $(FUZZ_BINS)
	@for f in $(FUZZ_BINS); do out=$$($$f -runs=0 $(fuzz_corpus) 2>&1) || { echo "$$out"; exit 1; }; done

build/links.mk: scripts/gen-links $(UNIT_SRCS) $(FUZZ_SRCS)
	@mkdir -p $(@D)
	@scripts/gen-links $(UNIT_SRCS) $(FUZZ_SRCS) >$@
-include build/links.mk

$(UNIT_BINS):
	@mkdir -p $(@D)
	$(say) LINK $@
	$(Q)$(CC) $(UNIT_CFLAGS) -o $@ $(filter %.o,$^)

$(FUZZ_BINS):
	@mkdir -p $(@D)
	$(say) LINK $@
	$(Q)$(CC) $(UNIT_CFLAGS) -fsanitize=fuzzer -o $@ $(filter %.o,$^)

$(B)/host/unit/%.c.o: %.c $(B)/flags | $(GEN)/syscalls.h
	@mkdir -p $(@D)
	$(say) UNIT $<
	$(Q)$(CC) $(UNIT_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/host/fuzz/%.c.o: %.c $(B)/flags | $(GEN)/syscalls.h
	@mkdir -p $(@D)
	$(say) FUZZ $<
	$(Q)$(CC) $(UNIT_CFLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

# The vDSO: user code, a shared object of one page that the kernel carries.
VDSO_CFLAGS := --target=x86_64-unknown-none-elf -std=gnu17 -ffreestanding -O2 $(WARN) $(REPRO) \
	-fPIC -fvisibility=hidden -mgeneral-regs-only -fno-stack-protector \
	-fno-asynchronous-unwind-tables -I.

$(GEN)/vdso.so: kernel/vdso/user.c kernel/vdso/vdso.ld kernel/vdso/vdso.h kernel/time/clock_math.h
	@mkdir -p $(@D)
	$(say) VDSO $@
	$(Q)$(CC) $(VDSO_CFLAGS) -c -o $(GEN)/vdso.o kernel/vdso/user.c
	$(Q)$(LD) -shared -soname linux-vdso.so.1 --hash-style=both -z max-page-size=4096 \
		--build-id=none -s -T kernel/vdso/vdso.ld -o $@ $(GEN)/vdso.o

$(B)/obj/kernel/vdso/image.asm.o: $(GEN)/vdso.so

# ---- The initial file system, and what people type ---------------------------------

$(DEFAULT_INITRD): scripts/mkinitrd scripts/mkcpio $(shell find esp/initrd -type f)
	@mkdir -p $(@D)
	$(say) CPIO $@
	$(Q)scripts/mkinitrd $@

# Programs that run inside, for the tests: each tests/guest/NAME.c is static and plain Linux ABI, so
# it runs on the host's Linux as well, which says what is right.
GUEST_SRCS := $(sort $(wildcard tests/guest/*.c))
GUEST_BINS := $(GUEST_SRCS:tests/guest/%.c=build/guest/%)

build/guest/badptr build/guest/badnum: $(GEN)/syscalls_args.h

build/guest/%: tests/guest/%.c $(wildcard tests/guest/*.h) Makefile
	@mkdir -p $(@D)
	$(say) MUSL $<
	$(Q)musl-gcc -static -O1 -g -Wall -Wextra -Wno-unused-parameter -Werror -I. -I$(GEN) \
		-idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu -o $@ $<

# Command lines on Keel and on Linux, side by side (tests/oracle/commands). K is a regular expression.
compare: setup
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory BUILD=debug build/debug/kernel.elf
	@tests/oracle/compare $(if $(K),-k '$(K)')

.PHONY: compare guest setup run debug test test-debian test-net-flood test-net-matrix test-stress check cover bench compile_commands.json help
guest: $(GUEST_BINS)

setup:
	@scripts/setup

# make run SMP=4 MEM=256M NIC=e1000e INITRD=file APPEND="..." BOOT=pvh ARGS="more options of scripts/qemu"
# ROOTFS is an archive of scripts/make-rootfs, or the packages to make one of: then with 2 GiB.
RUN_MEM = $(or $(MEM),$(if $(ROOTFS),2G))
RUN_INITRD = $(or $(INITRD),$(filter %.cpio %.cpio.gz,$(ROOTFS)),$(if $(ROOTFS),$$(scripts/make-rootfs $(ROOTFS))))
RUN_ARGS = $(if $(SMP),--smp $(SMP)) $(if $(RUN_MEM),--mem $(RUN_MEM)) $(if $(NIC),--nic $(NIC)) \
	$(if $(RUN_INITRD),--initrd $(RUN_INITRD)) $(if $(APPEND),--append "$(APPEND)") \
	$(if $(BOOT),--boot $(BOOT)) $(if $(MACHINE),--machine $(MACHINE)) \
	$(if $(DISPLAY_MODE),--display $(DISPLAY_MODE)) $(ARGS)

run: setup
	@$(MAKE) --no-print-directory all
	@scripts/qemu $(RUN_ARGS)

debug: setup
	@$(MAKE) --no-print-directory all
	@scripts/qemu --gdb $(RUN_ARGS)

# Everything that is tested: host unit tests, then machines. Ends with "N passed, N failed".
test: setup
	@$(MAKE) --no-print-directory all guest iso bench-programs build/link build/flood
	@$(MAKE) --no-print-directory BUILD=debug build/debug/kernel.elf
	@$(MAKE) --no-print-directory $(UNIT_BINS)
	@scripts/test $(UNIT_BINS)

# TCP over every kind of link beside Linux in the same machine (tests/boot/test_net_matrix.py). MATRIX is
# a regular expression of cells ("virtio-v4-loss1-.*"), MS how long each direction of one sends.
MATRIX ?= whole
test-net-matrix: setup
	@$(MAKE) --no-print-directory all guest build/link
	@KEEL_MATRIX='$(MATRIX)' $(if $(MS),KEEL_MATRIX_MS=$(MS)) \
		/usr/bin/python3 -m pytest -q -p no:cacheprovider $(PYTEST_ARGS) tests/boot/test_net_matrix.py

# Debian's own programs beside Linux, all of them, its servers, Python's own tests, and servers in Go and
# Rust, whose compilers the other tests do without (tests/boot/test_debian.py).
test-debian:
	@scripts/setup whole
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory BUILD=debug build/debug/kernel.elf
	@KEEL_DEBIAN=whole /usr/bin/python3 -m pytest -q -p no:cacheprovider $(PYTEST_ARGS) tests/boot/test_debian.py

# stress-ng's stressors (STRESS=regex, SECONDS each), crowds and storms of processes, at full length.
test-stress: setup
	@$(MAKE) --no-print-directory all guest
	@$(MAKE) --no-print-directory BUILD=debug build/debug/kernel.elf
	@KEEL_STRESS=whole STRESS='$(STRESS)' KEEL_STRESS_SECONDS=$(SECONDS) /usr/bin/python3 -m pytest -q -s \
		-p no:cacheprovider $(PYTEST_ARGS) tests/boot/test_stressors.py tests/boot/test_crowd.py

check: setup
	@$(MAKE) --no-print-directory all compile_commands.json
	@$(MAKE) --no-print-directory BUILD=debug build/debug/kernel.elf
	@$(MAKE) --no-print-directory fuzz-link
	@scripts/check

# Line coverage of the kernel by the scenario tests, and its summary in build/cover/.
cover: setup
	@$(MAKE) --no-print-directory all guest
	@$(MAKE) --no-print-directory BUILD=debug build/debug/kernel.elf
	@scripts/cover

# A million frames of noise rather than some (tests/wire/test_flood.py).
test-net-flood: setup
	@$(MAKE) --no-print-directory all build/link build/flood
	@$(MAKE) --no-print-directory BUILD=debug build/debug/kernel.elf
	@KEEL_FLOOD=10 /usr/bin/python3 -m pytest -q -s tests/wire/test_flood.py $(PYTEST_ARGS)

# The bad link of the network tests (tests/lib/lan.py), and its hostile neighbours.
build/link build/flood: build/%: tests/link/%.c
	@mkdir -p $(@D)
	$(say) HOST $<
	$(Q)$(CC) -O2 -Wall -Wextra -o $@ $<

# Benchmark programs: static musl for the guest, and the host's helpers (tests/bench/README.md).
BENCH_GUEST := $(patsubst tests/bench/src/%.c,build/bench/guest/%,$(wildcard tests/bench/src/*.c))
BENCH_HOST := $(patsubst tests/bench/host/%.c,build/bench/host/%,$(wildcard tests/bench/host/*.c))

build/bench/guest/%: tests/bench/src/%.c tests/bench/src/bench.h tests/bench/src/netproto.h
	@mkdir -p $(@D)
	$(say) MUSL $<
	$(Q)musl-gcc -O2 -static -s -Wall -Wextra -std=gnu11 -idirafter /usr/include/x86_64-linux-gnu \
		-idirafter /usr/include -o $@ $<

build/bench/host/%: tests/bench/host/%.c tests/bench/src/netproto.h
	@mkdir -p $(@D)
	$(say) HOST $<
	$(Q)$(CC) -O2 -Wall -Wextra -o $@ $<

build/bench/lnx.efi: tests/bench/efi/lnx.c
	@mkdir -p $(@D)
	$(say) EFI $<
	$(Q)$(CC) --target=x86_64-unknown-windows -O2 -Wall -ffreestanding -fshort-wchar -mno-red-zone \
		-mno-stack-arg-probe -c -o $@.obj $<
	$(Q)lld-link /subsystem:efi_application /entry:efi_main /nodefaultlib /out:$@ $@.obj

.PHONY: bench-programs
bench-programs: $(BENCH_GUEST) $(BENCH_HOST) build/bench/lnx.efi

bench: setup
	@$(MAKE) --no-print-directory all
	@tests/bench/run

compile_commands.json:
	@scripts/gen-compile-commands '$(CC) $(CFLAGS)' $(filter %.c,$(KERNEL_SRCS)) >$@

help:
	@echo 'make          kernel, loader, build/esp (copy it to an ESP), build/keel.img (a disk image)'
	@echo 'make run      the same in QEMU: SMP= MEM= NIC= INITRD= ROOTFS= APPEND= BOOT= MACHINE= ARGS='
	@echo 'make test     all tests          make check   format, layers, style, static analysis'
	@echo 'make test-debian        all programs of tests/boot/debian.commands on Debian packages, and servers'
	@echo 'make test-net-matrix    TCP over good and bad links beside Linux: MATRIX=regex MS=time'
	@echo 'make test-stress        stress-ng on four CPUs, 10,000 processes, storms: STRESS=regex SECONDS=30'
	@echo 'make debug    under gdb          make iso     a GRUB image, build/keel.iso'
	@echo 'make fuzz     parsers and the TCP core under libFuzzer, FUZZ=30 seconds each'
	@echo 'make bench    beside Linux       make cover   line coverage of the kernel by the tests'

.PHONY: clean
clean:
	rm -rf build

-include $(shell find $(B) -name '*.d' 2>/dev/null)
