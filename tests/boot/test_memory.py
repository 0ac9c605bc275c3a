"""Memory of a running system: nothing leaks, and running out of it ends one program only."""
import re

import pytest

from conftest import DEBUG_KERNEL, KERNEL
from vm import VM

# A script, typed line by line: a line longer than the terminal's comes back broken.
WORK = """i=0; while [ $i -lt 40 ]; do
ls / | sort | head -2 >/dev/null
(sleep 0.01 & wait)
echo $i >/tmp/x; cat /tmp/x >/dev/null
rm /tmp/x; mkfifo /tmp/f
cat /tmp/f >/dev/null & echo $i >/tmp/f
wait; rm /tmp/f; i=$((i+1)); done
ps >/dev/null"""


def free_kib(vm):
    return int(re.search(r"MemFree:\s+(\d+) kB", vm.run("cat /proc/meminfo")).group(1))


@pytest.mark.parametrize("name", ["memory_stress", "tlb_shootdown_reaches_all_cpus"])
def test_selftest_on_four_cpus(name):
    with VM(boot="pvh", kernel=DEBUG_KERNEL, smp="4", mem="64M", limit=60,
            append=f"selftest={name} panic_port=0x501") as vm:
        end = vm.expect(r"END 1")
        assert "FAIL" not in vm.text[:end.end()]


def test_no_object_is_left_behind_by_programs():
    with VM(boot="pvh", kernel=DEBUG_KERNEL, smp="4", mem="256M") as vm:
        vm.prompt()
        for line in WORK.splitlines():
            vm.run(f"echo '{line}' >>/tmp/work")
        vm.run("sh /tmp/work", limit=60)
        vm.run("echo mark >/proc/slab_leaks")
        before = free_kib(vm)
        vm.run("sh /tmp/work", limit=60)
        left = vm.run("sleep 1; cat /proc/slab_leaks")
        # The cat that reads the list has some two dozen objects of its own.
        assert int(re.search(r"(\d+) in all", left).group(1)) < 40, left
        # Slabs and per-CPU caches may have grown: a bounded amount.
        assert free_kib(vm) > before - 2048


@pytest.mark.parametrize("kernel, mem", [(KERNEL, "64M"), (DEBUG_KERNEL, "48M")])
def test_running_out_of_memory_kills_the_hog_only(kernel, mem):
    with VM(boot="pvh", kernel=kernel, smp="2", mem=mem) as vm:
        vm.prompt()
        before = free_kib(vm)
        vm.send("sh -c 'x=a; while true; do x=$x$x; done'\n")
        vm.expect(r"Out of memory: Killed process \d+ \(sh\) total-vm:\d+kB, anon-rss:\d+kB")
        vm.expect(r"Killed")
        vm.prompt()
        assert free_kib(vm) > before - 2048


def test_below_the_low_watermark_names_go_before_programs():
    with VM(boot="pvh", kernel=DEBUG_KERNEL, smp="2", mem="64M") as vm:
        vm.prompt()
        vm.run("i=0; while [ $i -lt 4000 ]; do [ -e /tmp/no-such-$i ]; i=$((i+1)); done", limit=60)
        before = int(re.search(r"dentry +(\d+)", vm.run("grep dentry /proc/slabinfo")).group(1))
        assert before > 4000
        vm.run("echo 14000 >/proc/sys/vm/min_free_kbytes")
        assert int(vm.run("cat /proc/sys/vm/min_free_kbytes").split()[0]) == pytest.approx(14000, abs=8)
        # The low watermark is 17500 KiB: less is free then.
        vm.run("dd if=/dev/zero of=/big bs=1M count=40; sleep 1; ls / >/dev/null; sleep 1")
        assert int(re.search(r"pageoutrun (\d+)", vm.run("cat /proc/vmstat")).group(1)) > 0
        assert int(re.search(r"dentry +(\d+)", vm.run("grep dentry /proc/slabinfo")).group(1)) < before / 2
        assert "oom-kill" not in vm.run("dmesg")
        vm.run("rm /big")


def test_a_full_tmpfs_says_so_and_gives_everything_back():
    with VM(boot="pvh", kernel=KERNEL, mem="64M") as vm:
        vm.prompt()
        before = free_kib(vm)
        assert "No space left on device" in vm.run("dd if=/dev/zero of=/tmp/big bs=1M count=100")
        assert free_kib(vm) < before - 16384
        vm.run("rm /tmp/big")
        assert free_kib(vm) > before - 1024


def test_mem_option_limits_memory():
    with VM(boot="pvh", kernel=KERNEL, mem="256M", append="mem=64M") as vm:
        vm.prompt()
        total = re.search(r"MemTotal:\s+(\d+) kB", vm.run("cat /proc/meminfo")).group(1)
        assert 50_000 < int(total) < 65_536
