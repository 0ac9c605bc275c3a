"""Asks Keel and Debian's Linux the same in the same machine with the same file system of Debian's packages
(scripts/make-rootfs): shell commands in, what they say out. Linux's kernel is the benchmarks'
(tests/bench/run-linux fetches it).

The commands run one after the other as root under bash, each in a session of its own without a terminal,
for a limited time. What they say goes over the serial line in hexadecimal, so that nothing on the way
changes it and the kernels' own messages cannot be taken for it."""
import os
import subprocess
import sys
import tempfile

import linux
from vm import TOP, VM

DEBUG_KERNEL = f"{TOP}/build/debug/kernel.elf"
# What ss asks of Linux by netlink, as on a Debian machine.
MODULES = ("net/ipv4/inet_diag net/ipv4/tcp_diag net/ipv4/udp_diag net/ipv4/raw_diag net/unix/unix_diag").split()
INIT = """#!/bin/busybox sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C
sed 's/^exec .*/:/' /init.real >/tmp/init; . /tmp/init
ip link set lo up
sysctl -qw kernel.pid_max=4194304 # as Debian's systemd does: ps has wider columns
for m in inet_diag tcp_diag udp_diag raw_diag unix_diag; do [ -e /mod/$m.ko ] && insmod /mod/$m.ko; done
dmesg -n 1
exec </dev/null
i=0
while read -r line; do
	i=$((i + 1))
	cd /root
	/usr/bin/timeout -k 1 {limit} /usr/bin/setsid -w /bin/bash -c "$line" </dev/null >/tmp/.answer 2>&1
	echo "exit $?" >>/tmp/.answer
	echo "@$i $(busybox xxd -p /tmp/.answer | tr -d '\\n')@"
done </oracle
echo "@end@"
poweroff -f
"""


def rootfs(packages):
    """The archive of them and all that they need."""
    return subprocess.run([f"{TOP}/scripts/make-rootfs", *packages], check=True, capture_output=True,
                          text=True).stdout.strip()


def archive(folder, commands, limit, files):
    """What comes on top of the packages; `files` are (name in the guest, path)."""
    for name, text in (("init", INIT.replace("{limit}", str(limit))), ("oracle", "".join(x + "\n" for x in commands))):
        with open(f"{folder}/{name}", "w", encoding="utf-8") as f:
            f.write(text)
    with open(f"{folder}/list", "w", encoding="utf-8") as f:
        f.write(f"file /init.real {TOP}/esp/rootfs/init 0755\nfile /init {folder}/init 0755\n"
                f"file /oracle {folder}/oracle 0644\n")
        f.writelines(f"file {name} {path} 0755\n" for name, path in files)
        for m in MODULES if linux.kernel() else []:
            path = f"{linux.HOME}/full/lib/modules/{linux.version()}/kernel/{m}.ko"
            if os.path.exists(path):
                f.write(f"file /mod/{os.path.basename(path)} {path} 0644\n")
    subprocess.run([f"{TOP}/scripts/mkcpio", f"{folder}/oracle.cpio", f"{folder}/list"], check=True)
    return f"{folder}/oracle.cpio"


def answers(commands, packages, kernel=None, limit=20, files=(), **machine):
    """Yields (number, what it said) for each command on `kernel` (a path; None is Linux), as they come; the
    last line is the exit status. Those that are never reached are missing."""
    if not kernel and not linux.kernel():
        sys.exit("no Linux kernel: run tests/bench/run-linux once, it fetches Debian's")
    base = rootfs(packages)
    options = {"smp": "2", "mem": "1G", "boot": "pvh", **machine}
    with tempfile.TemporaryDirectory(prefix="keel-oracle-") as folder:
        with VM(kernel=kernel or linux.kernel(), initrd=[base, archive(folder, commands, limit, files)],
                append="console=serial loglevel=1" if kernel else linux.COMMAND_LINE, **options) as vm:
            for i in range(1, len(commands) + 1):
                try:
                    m = vm.expect(f"@{i} ([0-9a-f]*)@", limit=limit + 120)
                except AssertionError as e:  # what came before still counts
                    print(str(e)[-1500:], file=sys.stderr)
                    return
                yield i, bytes.fromhex(m[1]).decode("utf-8", "replace")
