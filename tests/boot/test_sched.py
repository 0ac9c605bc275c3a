"""Locks, RCU and the scheduler on several CPUs: tests inside the debug kernel, and a storm of programs."""
import re

import pytest
from conftest import DEBUG_KERNEL
from vm import ENDED_PANIC, VM

RETURNING = [
    "spinlock_excludes", "mutex_excludes_and_is_fair", "rwsem_excludes_and_starves_nobody",
    "wait_queue_loses_no_wakeup", "wait_event_times_out_in_time", "rcu_keeps_what_readers_see",
    "threads_come_and_go", "affinity_moves_a_running_thread", "stress",
]
MISUSE = {
    "spinlock_order": r"spinlock low \(rank \d+\) taken at .* under high",
    "spinlock_twice": r"spinlock low: taken again",
    "sleep_under_spinlock": r"may sleep, in a context that must not",
}
STORM = ("for i in 1 2 3 4 5 6; do (j=0; while [ $j -lt 15 ]; do echo x | cat | grep -q x; "
         "ls -R /bin | wc -l >/dev/null; j=$((j+1)); done; echo done-$i) & done; wait")


@pytest.mark.parametrize("name", RETURNING)
def test_inside_the_kernel(name):
    with VM(boot="pvh", kernel=DEBUG_KERNEL, smp="4", limit=60, append=f"selftest={name}") as vm:
        end = vm.expect(r"END 1")
        assert "FAIL" not in vm.text[:end.end()]


@pytest.mark.parametrize("smp", ["1", "2", "4"])
@pytest.mark.parametrize("name", [
    "nice_values_give_shares", "spinners_are_balanced", "realtime_leaves_a_twentieth"])
def test_shares(name, smp):
    """By the guest's instructions, not the host's clock: the shares are the same in every run. One of 64 ns
    each: what spins for seconds takes the fewest that leave the scheduler's own part of it small."""
    with VM(boot="pvh", kernel=DEBUG_KERNEL, smp=smp, icount="6", limit=120,
            append=f"selftest={name}") as vm:
        end = vm.expect(r"END 1")
        assert "FAIL" not in vm.text[:end.end()]


def test_slice_ends_without_preemption():
    with VM(boot="pvh", kernel=DEBUG_KERNEL, smp="1", icount="0", limit=60,
            append="selftest=slice_ends_without_preemption") as vm:
        end = vm.expect(r"END 1")
        assert "FAIL" not in vm.text[:end.end()]


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_is_found(name):
    with VM(boot="pvh", kernel=DEBUG_KERNEL, append=f"selftest={name} panic_port=0x501") as vm:
        vm.expect(r"Kernel panic")
        vm.expect(MISUSE[name])
        assert vm.wait() == ENDED_PANIC


@pytest.mark.parametrize("smp", ["1", "4", "8"])
def test_storm_of_processes(smp):
    with VM(boot="pvh", kernel=DEBUG_KERNEL, smp=smp, limit=60) as vm:
        vm.prompt()
        vm.run("dmesg -n 1")
        out = vm.run(STORM)
        assert sorted(re.findall(r"^done-(\d)", out, re.M)) == list("123456")
