"""PCI: functions are found where Linux finds them, behind bridges too, and their interrupts arrive,
by messages and by lines. QEMU's edu device interrupts and copies memory when it is told to; the
in-kernel tests of the debug kernel do the telling (drivers/pci/selftest.c)."""
import re

import pytest
from conftest import DEBUG_KERNEL
from vm import VM

SELFTESTS = (
    "pci_devices_interrupt_where_they_should",
    "pci_devices_read_and_write_memory",
    "pci_devices_come_and_go",
)

# Seven devices: on the root bus, behind one and two bridges, and in slots of the chip set's own.
EDUS = ("-device", "edu", "-device", "edu", "-device", "edu,addr=1a", "-device", "edu,addr=1b",
        "-device", "pci-bridge,chassis_nr=1,id=b1", "-device", "edu,bus=b1,addr=3",
        "-device", "pci-bridge,chassis_nr=2,id=b2,bus=b1,addr=4", "-device", "edu,bus=b2,addr=5",
        "-device", "edu,addr=1e")


def machine(append="", **options):
    return VM(boot="pvh", kernel=DEBUG_KERNEL, append=append, limit=60, **options)


@pytest.mark.parametrize("name", ["q35", "pc"])
@pytest.mark.parametrize("append, chip, devices_a_line", [
    ("", "PCI-MSI", 1), ("nomsi", "IO-APIC", 3), ("nomsi noapic", "XT-PIC", 4), ("nommconf", "PCI-MSI", 1),
], ids=["msi", "lines", "lines-8259", "ports"])
def test_interrupts_and_dma(name, append, chip, devices_a_line):
    with machine(append + "".join(f" selftest={t}" for t in SELFTESTS), smp="4", machine=name,
                 extra=EDUS) as vm:
        vm.expect(rf"END {len(SELFTESTS)}$")
        assert "FAIL" not in vm.text
        vm.prompt()
        lines = [line.split() for line in vm.run("grep edu@ /proc/interrupts").splitlines()]
        assert len(lines) == 7 and all(line[5] == chip for line in lines)
        assert all(sum(map(int, line[1:5])) >= 1 for line in lines)
        per_line = {}
        for line in lines:
            per_line[line[0]] = per_line.get(line[0], 0) + 1
        assert max(per_line.values()) <= devices_a_line or chip != "PCI-MSI"
        if chip == "PCI-MSI":  # each on a CPU of its own
            busy = [[int(n) > 0 for n in line[1:5]].index(True) for line in lines]
            assert sorted(set(busy)) == [0, 1, 2, 3]


def test_a_machine_full_of_devices():
    # 24 devices on two buses behind Express ports and a bridge; each is tried.
    extra = ["-device", "pcie-root-port,id=r1,chassis=1,slot=1", "-device", "pcie-pci-bridge,id=b1,bus=r1"]
    for i in range(1, 25):
        extra += ["-device", f"edu,bus=b1,addr={i:x}"]
    with machine("selftest=" + SELFTESTS[0], smp="2", extra=tuple(extra)) as vm:
        vm.expect("END 1$")
        assert "FAIL" not in vm.text
        assert len(re.findall(r"edu 0000:02:..\.0: 20 interrupts by kind 2", vm.text)) == 24


def test_proc_bus_pci_devices_is_as_linux_prints_it():
    with machine(extra=("-device", "edu,addr=5")) as vm:
        vm.prompt()
        lines = vm.run("cat /proc/bus/pci/devices").splitlines()
        edu = next(line for line in lines if line.startswith("0028")).split("\t")
        assert edu[1] == "123411e8" and edu[-1] == "edu" and len(edu) == 18
        assert int(edu[3], 16) & 0xf == 0 and int(edu[10], 16) == 1 << 20
        assert lines[0].startswith("0000\t808629c0\t0\t               0\t")
