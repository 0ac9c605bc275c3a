"""Network drivers under QEMU: frames both ways, rings longer than they are, down and up again, resets
in the middle, and every kind of interrupt. The in-kernel tests (drivers/net/selftest_rings.c) do the work."""
import pytest
from conftest import DEBUG_KERNEL
from vm import VM

SELFTESTS = (
    "nics_send_and_receive",
    "nics_go_down_and_up_again",
    "nics_send_bursts",
    "nics_go_on_after_a_reset",
)


def machine(append="", **options):
    return VM(boot="pvh", kernel=DEBUG_KERNEL, append=append, limit=90, **options)


SHORT = (SELFTESTS[0], SELFTESTS[2])


def run_selftests(append, tests=SELFTESTS, **options):
    with machine(append + "".join(f" selftest={t}" for t in tests), smp="2", **options) as vm:
        vm.expect(rf"END {len(tests)}$")
        assert "FAIL" not in vm.text, vm.text
        vm.prompt()
        return vm.text, vm.run("cat /proc/interrupts")


@pytest.mark.parametrize("model, chip, append, options", [
    ("virtio", "PCI-MSI", "", {}),
    ("virtio", "PCI-MSI", "", {"machine": "pc"}),
    ("virtio", "IO-APIC", "nomsi", {}),
    ("virtio", "IO-APIC", "nomsi", {"machine": "pc"}),
], ids=["virtio-msix", "virtio-msix-pc", "virtio-line", "virtio-line-pc"])
def test_frames_both_ways(model, chip, append, options):
    text, interrupts = run_selftests(append, nic=model, **options)
    line = next(x for x in reversed(interrupts.splitlines()) if "@0000:" in x).split()
    assert line[3] == chip and sum(map(int, line[1:3])) > 100


@pytest.mark.parametrize("options", [
    "mrg_rxbuf=off", "indirect_desc=off", "event_idx=off", "ctrl_vq=off", "status=off", "host_mtu=1400",
    "rx_queue_size=1024,tx_queue_size=256", "disable-legacy=on", "csum=off,guest_csum=off",
])
def test_virtio_without_a_feature(options):
    # QEMU switches features off by name; the driver must do without each of them.
    text, _ = run_selftests("", nic="none", extra=("-device", f"virtio-net-pci,netdev=x,romfile=,{options}",
                                                   "-netdev", "user,id=x"), tests=SHORT)
    assert "virtio_net" in text


def test_several_nics_behind_bridges():
    extra = ("-device", "pcie-root-port,id=r1,chassis=1,slot=1", "-device", "virtio-net-pci,bus=r1,netdev=a,romfile=",
             "-netdev", "user,id=a", "-device", "pcie-pci-bridge,id=b1", "-device", "virtio-net-pci,bus=b1,netdev=b,romfile=",
             "-netdev", "user,id=b")
    for append in ("", "nomsi "):
        text, _ = run_selftests(append, nic="virtio", extra=extra, tests=SHORT)
        assert text.count(" in\n") >= 3
