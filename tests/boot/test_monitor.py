"""The serial monitor, and interrupts that cannot be masked: NMI and machine checks."""
import re

from conftest import DEBUG_KERNEL
from vm import VM


def debug(**options):
    return VM(boot="pvh", kernel=DEBUG_KERNEL, limit=60, **options)


def test_monitor_shows_the_state():
    with debug(smp="3") as vm:
        vm.prompt()
        vm.send("\x14h")
        vm.expect(r"\^T h +help")
        vm.send("\x14c")
        for cpu in range(3):
            vm.expect(rf"CPU {cpu}: APIC {cpu}, node 0")
        vm.send("\x14m")
        vm.expect(r"pages: \d+ total, \d+ free")
        vm.send("\x14l")
        vm.expect(r"CPU 2, thread ")
        vm.send("\x14t")
        vm.expect(r"CPU 0: runs ")
        vm.expect(r"\binit\b")
        vm.send("\x14b")
        vm.expect(r"monitor_input\+0x")
        for _ in range(2):
            vm.expect(r"CPU \d, thread .*:")
            vm.expect(r"  \[<[0-9a-f]+>\] \w+")
        vm.send("\x14?")
        vm.expect(r"\^T t +threads")
        assert vm.run("echo still $((6 * 7))").strip() == "still 42"


def test_a_foreign_nmi_is_reported_and_survived():
    with debug(smp="2") as vm:
        vm.prompt()
        vm.qmp.command("inject-nmi")
        vm.expect(r"NMI on CPU \d at 0x[0-9a-f]+, no known reason")
        vm.send("\n")
        vm.prompt()
        assert vm.run("echo $((40 + 2))").strip() == "42"


def test_nmis_may_hit_any_instruction():
    """In user mode, in the kernel, and in the few instructions between, where GS is not yet ours."""
    with debug(smp="2") as vm:
        vm.prompt()
        vm.send("i=0; while [ $i -lt 3000 ]; do i=$((i + 1)); kill -0 $$; done; echo counted $i\n")
        for _ in range(200):
            vm.qmp.command("inject-nmi")
            vm._read(0.01)
        vm.expect(r"counted 3000$")
        vm._read_for(1)  # the last NMIs are logged behind the prompt
        vm.send("\n")
        vm.prompt()
        assert len(re.findall(r"NMI on CPU \d at", vm.text)) >= 10


def test_a_fatal_machine_check_names_its_bank():
    with debug() as vm:
        vm.prompt()
        # Bank 9: valid, uncorrected, with address and MISC; no way to resume.
        vm.qmp.command("human-monitor-command",
                       **{"command-line": "mce 0 9 0xbd00000000000000 0 0x1000 0x8c"})
        vm.expect(r"Kernel panic")
        vm.expect(r"machine check: CPU 0 bank 9: uncorrected error, .*address 0x1000, misc 0x8c")
        vm.expect(r"Backtrace:")
