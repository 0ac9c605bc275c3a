"""UEFI state kept in a file: OVMF runs once, and each test goes on from there in a fraction of a second."""
import pytest
from vm import VM

# Not q35: QEMU does not take back its AHCI once the loader has switched off bus mastering.
MACHINE = dict(boot="efi", machine="pc", smp="2", mem="256M", vga="none", boot_controller="virtio")


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    path = tmp_path_factory.mktemp("frozen") / "state"
    with VM(**MACHINE) as vm:
        vm.expect("started through EFI")
        vm.machine.save(path)
    return path


@pytest.mark.parametrize("round", [1, 2])
def test_a_frozen_machine_goes_on_to_its_prompt(frozen, round):
    with VM(incoming=str(frozen), **MACHINE) as vm:
        vm.prompt()
        assert "KENTRY" not in vm.text  # that was before
        assert vm.run("echo $((6 * 7))").strip() == "42"
        assert vm.run("grep -c ^processor /proc/cpuinfo").strip() == "2"
        vm.power_off(command="poweroff")
