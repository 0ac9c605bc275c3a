"""Debian's Linux as a guest beside Keel, for comparisons: its kernel from where the benchmarks keep it
($BENCH_LINUX, tests/bench/run-linux), and an initial file system of busybox, the modules of the NICs and
programs of tests/guest, with Keel's prompt, so that tests/lib/vm.py drives it as it drives Keel."""
import glob
import os
import subprocess

from vm import TOP, VM

HOME = os.environ.get("BENCH_LINUX") or os.path.expanduser("~/.cache/keel-bench/linux")
NIC_MODULES = (
    "drivers/net/ethernet/intel/e1000/e1000", "drivers/pps/pps_core", "drivers/ptp/ptp",
    "drivers/net/ethernet/intel/e1000e/e1000e", "net/core/failover", "drivers/net/net_failover",
    "drivers/virtio/virtio_ring", "drivers/virtio/virtio", "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci_modern_dev", "drivers/virtio/virtio_pci", "drivers/net/virtio_net",
)
# As fast as this kernel can be here: what protects it from its users is not what is compared.
COMMAND_LINE = ("console=ttyS0,115200 panic=-1 loglevel=3 mitigations=off nopti init_on_alloc=0 lsm= apparmor=0 "
                "audit=0 tsc=reliable no_timer_check")
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin PS1='root@keel:# ' HOME=/
mount -t proc proc /proc; mount -t sysfs sys /sys
for m in {modules}; do [ -f /mod/$m.ko ] && insmod /mod/$m.ko; done
ip link set lo up
while :; do setsid -c sh -i </dev/ttyS0 >/dev/ttyS0 2>&1; done
"""


def kernel():
    """The newest kernel there is, or None."""
    found = sorted(glob.glob(f"{HOME}/full/boot/vmlinuz-*"))
    return found[-1] if found else None


def version():
    return kernel().split("vmlinuz-")[1]


def initrd(folder, programs=()):
    """Writes the initial file system into `folder`; its path. Programs are paths, put into /guest."""
    lines = ["dir /proc 0755", "dir /sys 0755", "dir /tmp 01777", "node /dev/console 0600 c 5 1",
             "node /dev/ttyS0 0600 c 4 64", "node /dev/null 0666 c 1 3", "file /bin/busybox /bin/busybox 0755",
             f"file /init {folder}/init 0755"]
    for m in NIC_MODULES:
        path = f"{HOME}/full/lib/modules/{version()}/kernel/{m}.ko"
        if os.path.exists(path):
            lines.append(f"file /mod/{os.path.basename(m)}.ko {path} 0644")
    lines += [f"file /guest/{os.path.basename(p)} {p} 0755" for p in programs]
    with open(f"{folder}/init", "w", encoding="ascii") as f:
        f.write(INIT.format(modules=" ".join(os.path.basename(m) for m in NIC_MODULES)))
    with open(f"{folder}/linux.list", "w", encoding="ascii") as f:
        f.write("\n".join(lines) + "\n")
    out = f"{folder}/linux.cpio"
    subprocess.run([f"{TOP}/scripts/mkcpio", out, f"{folder}/linux.list"], check=True)
    return out


def machine(initrd_path, **options):
    """A VM of it: the options of VM."""
    return VM(boot="pvh", kernel=kernel(), initrd=[initrd_path], append=COMMAND_LINE, **options)
