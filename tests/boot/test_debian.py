"""Debian's own programs, unchanged and dynamically linked, from a file system of scripts/make-rootfs.

The oracle is the host's Linux: each line of debian.commands runs there in the same file system
(chroot), and must print the same on Keel. `make test` runs a sample of the lines; `make test-debian`
(KEEL_DEBIAN=whole) all of them, and the servers and tools on a larger file system."""
import os
import re
import subprocess

import pytest
from conftest import DEBUG_KERNEL, KERNEL
from vm import TOP, VM

IS_WHOLE = os.environ.get("KEEL_DEBIAN") == "whole"
LINES = [line for line in open(f"{TOP}/tests/boot/debian.commands", encoding="ascii").read().splitlines()
         if line and not line.startswith("#")]
COMMANDS = LINES if IS_WHOLE else LINES[::3]
SMALL = ["gawk", "perl-base", "python3", "sqlite3"]
LARGE = SMALL + ["ca-certificates", "curl", "gcc", "gdb", "iperf3", "iproute2", "iputils-ping", "less",
                 "libc6-dev", "libpython3.11-testsuite", "nginx-light", "openssh-client",
                 "openssh-server", "openssl", "psmisc", "redis-server", "redis-tools", "strace", "tcc",
                 "tcpdump", "tmux"]
needs_whole = pytest.mark.skipif(not IS_WHOLE, reason="only in make test-debian")

RUN_LINE = """cd $(mktemp -d) && exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
bash -c "$1" 2>&1 </dev/null"""


def make_rootfs(name, packages):
    """The archive and the tree; skipped where packages cannot be had."""
    out = f"{TOP}/build/rootfs/{name}.cpio"
    p = subprocess.run([f"{TOP}/scripts/make-rootfs", "-o", out, *packages], capture_output=True, text=True)
    if p.returncode:
        pytest.skip(f"no Debian packages: {p.stderr[-300:]}")
    return out, out.replace(".cpio", ".root")


@pytest.fixture(scope="module")
def small():
    return make_rootfs("small", SMALL)


@pytest.fixture(scope="module")
def on_linux(small, tmp_path_factory):
    """What each line prints on the host, in the same file system under mounts of its own."""
    work = tmp_path_factory.mktemp("debian")
    (work / "run").write_text(RUN_LINE)
    script = (f"cd {small[1]} && for d in proc dev; do mount --rbind /$d $d; done && mount -t tmpfs none tmp"
              f" && mount -t tmpfs none run && exec chroot . bash -c \"$(cat {work}/run)\" line \"$1\"")

    def run(line):
        p = subprocess.run(["unshare", "-Urm", "bash", "-c", script, "line", line], text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        return p.stdout

    if run("echo works") != "works\n":
        pytest.skip("no name spaces here to run programs in another file system")
    return run


@pytest.fixture(scope="module")
def keel(small, tmp_path_factory):
    work = tmp_path_factory.mktemp("keel")
    (work / "line").write_text(RUN_LINE)
    (work / "list").write_text(f"file /line {work}/line 0755\n")
    subprocess.run([f"{TOP}/scripts/mkcpio", work / "line.cpio", work / "list"], check=True)
    with VM(boot="pvh", kernel=DEBUG_KERNEL, smp="2", mem="1G", initrd=[small[0], str(work / "line.cpio")],
            limit=120) as vm:
        vm.prompt()
        vm.run("bind 'set enable-bracketed-paste off'; dmesg -n 1")
        yield vm


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


@pytest.mark.parametrize("line", COMMANDS, ids=range(len(COMMANDS)))
def test_says_what_linux_says(keel, on_linux, line):
    wanted = on_linux(line)
    assert keel.run(f"bash /line {quoted(line)}", limit=60) == wanted
