"""The kernel under gdb, with the commands of scripts/gdbinit.py: what `make debug` starts."""
import os
import re
import subprocess

from conftest import DEBUG_KERNEL, KERNEL
from vm import TOP, VM


def gdb(vm, kernel, *commands):
    """What gdb prints while it runs the commands and lets the machine go again."""
    script = f"{TOP}/scripts/gdbinit.py"
    args = ["gdb", "-batch", "-nx", kernel, "-x", script]
    for c in (f"target remote {os.path.join(vm.machine.work, 'gdb')}", *commands, "detach"):
        args += ["-ex", c]
    done = subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert "Python" not in done.stderr, done.stderr
    return done.stdout


def test_gdb_stops_at_kernel_main_and_shows_threads_cpus_and_log():
    with VM(boot="pvh", kernel=DEBUG_KERNEL, smp="2", gdb=True) as vm:
        out = gdb(vm, DEBUG_KERNEL, "hbreak kernel_main", "continue", "backtrace 1", "delete")
        assert re.search(r"#0 .*kernel_main \(.*at .*kernel/main.c:\d+", out), out
        vm.prompt()
        out = gdb(vm, DEBUG_KERNEL, "keel-cpus", "keel-threads", "keel-log", "keel-bt 1")
        for cpu in range(2):
            assert re.search(rf"^CPU {cpu}: APIC {cpu}, online, thread \w+", out, re.M), out
        stack = out[out.rindex("\n    1 "):]
        assert re.search(r"^ +1 init +sleeping +CPU \d", stack, re.M), out
        assert re.search(r"schedule.* at (?:\./)?kernel/sched/\w+\.c:\d+", stack), out
        assert re.search(r"^\[ +\d+\.\d{6}\] .*CPU", out, re.M), out
        assert vm.run("echo $((6 * 7))").strip() == "42"


def test_gdb_finds_a_kernel_that_the_loader_placed_at_random():
    with VM(boot="efi", gdb=True) as vm:
        vm.qmp.command("cont")
        vm.prompt()
        out = gdb(vm, KERNEL, "keel-symbols", "keel-bt 1", "keel-symbols")
        slides = re.findall(r"lies (-?0x[0-9a-f]+) from", out)
        assert len(slides) == 2 and slides[0] == slides[1] != "0x0", out
        assert re.search(r"^ +1 init +sleeping .*\n.*schedule", out, re.M), out
        assert vm.run("echo $((6 * 7))").strip() == "42"
