"""Crowds and storms: thousands of processes and threads at once, and fork and exec for minutes, give every
byte back, and what one costs does not grow with their number (tests/guest/crowd_stress.c). `make test` has
small ones; `make test-stress` (KEEL_STRESS=whole) 10,000 processes with 20,000 threads, and two minutes."""
import os
import re
import subprocess

import pytest
from conftest import DEBUG_KERNEL, KERNEL
from vm import TOP, VM

pytestmark = pytest.mark.alone
IS_WHOLE = os.environ.get("KEEL_STRESS") == "whole"
PROCESSES, THREADS, MEMORY = (10000, 20000, "4G") if IS_WHOLE else (800, 1600, "1G")
STORM_SECONDS = 120 if IS_WHOLE else 8
NUMBER = r"(\d+(?:\.\d+)?)"


@pytest.fixture(scope="module")
def initrd(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crowd")
    with open(folder / "list", "w", encoding="ascii") as f:
        f.writelines(f"file /guest/{p} {TOP}/build/guest/{p} 0755\n" for p in ("crowd_stress", "storm_stress"))
    subprocess.run([f"{TOP}/scripts/mkcpio", folder / "crowd.cpio", folder / "list"], check=True)
    return [f"{TOP}/build/initrd.cpio.gz", str(folder / "crowd.cpio")]


def memory(vm):
    """When it no longer grows: what ends is freed a little later."""
    def look():
        text = vm.run("sleep 1; cat /proc/meminfo", limit=60)
        return {m[1]: int(m[2]) for m in re.finditer(r"^(\w+): +(\d+) kB", text, re.M)}

    now = look()
    for _ in range(20):
        last, now = now, look()
        if now["MemFree"] - last["MemFree"] < 64:
            break
    return now


def numbers(out):
    return {m[1]: float(m[2]) for m in re.finditer(rf"^(\w+) {NUMBER}", out, re.M)}


def check_memory(before, after, leaks=""):
    for name, most in (("MemFree", 4096), ("Slab", 4096), ("KernelStack", 1024), ("PageTables", 3072)):
        grown = before[name] - after[name] if name == "MemFree" else after[name] - before[name]
        assert grown < most, f"{name}: {grown} KiB are not back\n{leaks}"


def test_fork_beside_a_crowd_costs_what_it_costs_alone(initrd):
    """Under icount: instructions."""
    with VM(boot="pvh", kernel=KERNEL, smp="1", mem=MEMORY, icount="0", initrd=initrd, limit=120) as vm:
        vm.prompt()
        vm.run("/guest/crowd_stress 100 200", limit=60)
        before = memory(vm)
        out = vm.run(f"/guest/crowd_stress {PROCESSES} {THREADS}", limit=500)
        print(out)
        assert "CROWD OK" in out, out
        cost = numbers(out)
        for call in ("fork_waitpid", "fork_waitany", "look"):
            assert cost[f"{call}_crowd_us"] < 1.2 * cost[f"{call}_alone_us"] + 1, out
        check_memory(before, memory(vm))


def test_ps_and_top_see_a_crowd(initrd):
    with VM(boot="pvh", kernel=DEBUG_KERNEL, smp="4", mem=MEMORY, initrd=initrd, limit=120) as vm:
        vm.prompt()
        vm.run("dmesg -n 1; /guest/crowd_stress 100 200", limit=120)
        before = memory(vm)
        vm.run("echo mark >/proc/slab_leaks")
        vm.send(f"/guest/crowd_stress {PROCESSES} {THREADS} hold &\n")
        vm.expect("CROWD READY", limit=500)
        vm.run("")
        assert int(vm.run("ps | grep -c '[c]rowd_stress'", limit=300)) > PROCESSES
        assert "crowd_stress" in vm.run("top -bn1 | head -20", limit=300)
        threads = int(re.search(r"/(\d+) ", vm.run("cat /proc/loadavg"))[1])
        assert threads > PROCESSES + THREADS // 2, threads
        vm.send("kill -USR1 $!\n")
        vm.expect("CROWD OK", limit=300)
        vm.run("wait")
        check_memory(before, memory(vm), vm.run("cat /proc/slab_leaks"))


def test_storm_gives_every_byte_back(initrd):
    with VM(boot="pvh", kernel=DEBUG_KERNEL, smp="4", mem="512M", initrd=initrd, limit=120) as vm:
        vm.prompt()
        vm.run("dmesg -n 1; /guest/storm_stress 2", limit=60)
        before = memory(vm)
        vm.run("echo mark >/proc/slab_leaks")
        out = vm.run(f"/guest/storm_stress {STORM_SECONDS}", limit=STORM_SECONDS + 120)
        print(out)
        assert "STORM OK" in out, out
        after, leaks = memory(vm), vm.run("cat /proc/slab_leaks")
        check_memory(before, after, leaks)
        many = {m[2]: int(m[1]) for m in re.finditer(r"^ *(\d+) .*?(\S+)$", leaks, re.M) if int(m[1]) > 60}
        assert not many, many
