"""Each exception raised in the kernel gives a panic report that says what it was and where."""
import pytest
from conftest import DEBUG_KERNEL
from vm import ENDED_PANIC, VM

REPORTS = {
    "de": r"divide error \(#DE",
    "db": r"debug \(#DB",
    "bp": r"breakpoint \(#BP",
    "of": r"overflow \(#OF",
    "br": r"bound range exceeded \(#BR",
    "ud": r"invalid opcode \(#UD",
    "ubsan": r"undefined behaviour: shift out of bounds",
    "nm": r"device not available \(#NM",
    "df": r"double fault",
    "fpu_seg": r"coprocessor segment overrun",
    "ts": r"invalid TSS \(#TS.*GDT entry 8",
    "np": r"segment not present \(#NP.*GDT entry 4",
    "ss": r"stack segment fault \(#SS",
    "gp": r"general protection \(#GP.*no selector",
    "gp_selector": r"general protection \(#GP.*GDT entry 15, error code 0x78",
    "pf_null": r"null pointer at 0x10: read of a page that is not there",
    "pf_null_call": r"jump through a null pointer",
    "pf_read": r"bad kernel pointer at 0xffffffffc0000000",
    "pf_user": r"user address outside usercopy at 0x400000: write",
    "pf_write_text": r"wrote to read-only memory",
    "pf_nx": r"ran data as code \(NX\)",
    "trap_15": r"vector 15",
    "mf": r"x87 floating-point error \(#MF",
    "ac": r"alignment check \(#AC",
    "mc": r"machine check",
    "xm": r"SIMD floating-point error \(#XM",
    "ve": r"virtualization exception \(#VE",
    "cp": r"control protection \(#CP",
    "trap_22": r"vector 22",
    "hv": r"hypervisor injection \(#HV",
    "vc": r"VMM communication \(#VC",
    "sx": r"security exception \(#SX",
    "trap_31": r"vector 31",
    "stack_overflow": r"kernel stack overflow: guard page hit",
    "assertion": r"assertion failed: data_page\[0\] == 0",
    "plain_panic": r"selftest asked for it: 42",
}


def debug(selftest, **options):
    return VM(boot="pvh", kernel=DEBUG_KERNEL, limit=30, append=f"selftest={selftest} panic_port=0x501",
              **options)


@pytest.mark.parametrize("name", REPORTS)
def test_report(name):
    with debug(name) as vm:
        vm.expect(r"Kernel panic")
        vm.expect(REPORTS[name])
        vm.expect(r"Backtrace:")
        inside = "recurse" if name == "stack_overflow" else rf"selftest_{name}\+0x"
        vm.expect(rf"\[<[0-9a-f]+>\] {inside}")
        if name not in ("df", "stack_overflow"):
            vm.expect(r"kernel_main\+0x|thread_run_kernel\+0x")
        vm.expect(r"Last lines of the log:")
        vm.expect(rf"\| .*T {name}")
        assert vm.wait() == ENDED_PANIC


@pytest.mark.parametrize("name", ["peek_survives_bad_pointers", "nmi_is_survived", "protection_is_on"])
def test_one_that_comes_back(name):
    with debug(name) as vm:
        vm.expect(rf"T {name}$")
        end = vm.expect(r"END 1$")
        assert "FAIL" not in vm.text[:end.end()]


def test_other_cpus_are_stopped_and_shown():
    with debug("plain_panic", smp="4") as vm:
        vm.expect(r"Kernel panic")
        for cpu in (1, 2, 3):
            vm.expect(rf"CPU {cpu}, thread .*:$")
        assert "did not stop" not in vm.text


def test_a_thread_that_overflows_its_stack():
    with debug("stack_overflow_thread") as vm:
        vm.expect(r"Kernel panic")
        vm.expect(r"kernel stack overflow: guard page hit")
        vm.expect(r"thread overflow \(")
        vm.expect(r"\] recurse\+0x")
        vm.expect(r"\] thread_run_kernel\+0x")


def test_held_locks_are_named():
    with debug("panic_with_locks") as vm:
        vm.expect(r"Kernel panic")
        vm.expect(r"a_lock")
        vm.expect(r"holds a_mutex")


def test_a_panic_in_an_interrupt_shows_what_it_interrupted():
    with debug("panic_in_interrupt") as vm:
        vm.expect(r"Kernel panic")
        vm.expect(r"in an interrupt")
        vm.expect(r"\] panic_on_expiry\+0x")
        vm.expect(r"\] selftest_panic_in_interrupt\+0x[0-9a-f]+ \(trap\)")
        vm.expect(r"\] kernel_main\+0x")


def test_a_panic_inside_the_log_ends():
    with debug("panic_in_a_console") as vm:
        vm.expect(r"Kernel panic")
        vm.expect(r"null pointer at 0x8: write")
        assert vm.wait() == ENDED_PANIC


def test_a_cpu_that_hears_no_interrupt_is_stopped():
    with debug("panic_beside_a_deaf_cpu", smp="2") as vm:
        vm.expect(r"Kernel panic")
        vm.expect(r"beside a deaf CPU")
        vm.expect(r"CPU \d, thread deaf:$")
        vm.expect(r"\] spin_deaf\+0x")
        assert vm.wait() == ENDED_PANIC


def test_two_panics_at_once_give_one_report():
    with debug("panic_on_two_cpus", smp="2") as vm:
        vm.expect(r"Kernel panic")
        vm.expect(r"two at once")
        assert vm.wait() == ENDED_PANIC
        assert vm.text.count("Backtrace:") == 1


def test_a_frame_that_iret_refuses_is_a_fault_of_the_program():
    with debug("bad_iret") as vm:
        vm.expect(r"Kernel panic")
        vm.expect(r"thread bad_iret")
        vm.expect(r"\] signal_fault\+0x")
        vm.expect(r"\] trap_handle\+0x")
