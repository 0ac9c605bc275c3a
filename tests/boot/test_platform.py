"""Interrupts, time, several processors, and how the machine ends: on machines that have all of it
and on machines that lack a part. In-kernel tests of the debug kernel do the looking."""
import re

import pytest
from conftest import DEBUG_KERNEL
from vm import ENDED_POWER_OFF, ENDED_RESET, VM

SELFTESTS = (
    "irq_of_the_pit_comes_and_goes",
    "irq_requests_for_lines_that_do_not_exist_are_refused",
    "ipi_calls_of_all_cpus_at_once_are_each_answered",
    "clock_is_the_same_on_all_cpus",
    "timers_armed_and_cancelled_by_all_cpus",
    "sleep_is_never_short",
    "idle_cpus_get_no_timer_ticks",
)


def machine(append="", **options):
    return VM(boot="pvh", kernel=DEBUG_KERNEL, append=append, limit=90, **options)


@pytest.mark.parametrize("append, options, says", [
    ("", dict(smp="4"), "xAPIC, 1 I/O APICs.*by HPET.*4 of 4 CPUs"),
    ("", dict(smp="2", machine="pc", cpu="qemu64"), "xAPIC, 1 I/O APICs.*by HPET.*2 of 2 CPUs"),
    ("hpet=disable", dict(smp="2"), "by PM timer"),
    ("", dict(smp="2", machine="q35,hpet=off,i8042=off,pic=off,smbus=off"), "by PM timer"),
    ("noapic", dict(smp="2"), "device interrupts by the 8259s.*2 of 2 CPUs"),
    ("acpi=off", dict(smp="2"), "off by the command line.*by the 8259s.*by PIT.*1 of 1 CPUs"),
    ("maxcpus=2", dict(smp="4"), "2 of 4 CPUs"),
    ("nosmp", dict(smp="4"), "1 of 4 CPUs"),
], ids=["q35", "pc", "no-hpet-used", "legacy-free", "noapic", "no-acpi", "maxcpus", "nosmp"])
def test_interrupts_and_time_on(append, options, says):
    with machine(append + "".join(f" selftest={t}" for t in SELFTESTS), **options) as vm:
        vm.expect(rf"END {len(SELFTESTS)}$")
        assert "FAIL" not in vm.text
        assert re.search(says, vm.text, re.S), vm.text


def test_a_cpu_that_never_answers_is_left_out():
    with machine("test=absentcpu", smp="2") as vm:
        vm.expect(r"CPU 2 \(APIC ID 200\) does not answer: going on without it")
        vm.expect("2 of 2 CPUs online")
        vm.prompt()
        assert vm.run("grep -c ^processor /proc/cpuinfo").strip() == "2"


def test_numa_nodes_of_cpus():
    with machine(smp="4", mem="512M", extra=(
            "-object", "memory-backend-ram,id=m0,size=256M",
            "-object", "memory-backend-ram,id=m1,size=256M",
            "-numa", "node,nodeid=0,memdev=m0,cpus=0-1",
            "-numa", "node,nodeid=1,memdev=m1,cpus=2-3")) as vm:
        vm.expect("2 NUMA nodes")
        vm.expect("4 of 4 CPUs online")


@pytest.mark.parametrize("options", [
    dict(), dict(machine="pc"), dict(machine="q35,hpet=off,i8042=off,pic=off,pit=off,smbus=off"),
], ids=["q35", "pc", "legacy-free"])
def test_power_off_and_restart(options):
    with machine("selftest=power_off", smp="2", **options) as vm:
        assert vm.wait() == ENDED_POWER_OFF
    with machine("selftest=power_restart", smp="2", **options) as vm:
        assert vm.wait() == ENDED_RESET


def test_power_off_without_acpi_says_so():
    with machine("acpi=off selftest=power_off") as vm:
        vm.expect("this machine has no way to power off")


def test_interrupts_of_devices_are_counted():
    with machine(smp="2") as vm:
        vm.prompt()
        lines = vm.run("cat /proc/interrupts").splitlines()
        assert lines[0].split() == ["CPU0", "CPU1"]
        serial = next(line for line in lines if line.endswith("ttyS0")).split()
        assert sum(map(int, serial[1:3])) > 0 and serial[3] == "IO-APIC"
        assert any("Local timer" in line for line in lines)


def test_the_date_is_the_hosts():
    import time
    with machine() as vm:
        vm.prompt()
        assert abs(int(vm.run("date +%s")) - time.time()) < 10
