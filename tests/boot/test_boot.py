"""The machines Keel must start on: each reaches a prompt, runs a command and powers off."""
import pytest
from conftest import KERNEL
from vm import VM


def boots(limit=90, off="poweroff -f", **options):
    with VM(limit=limit, **options) as vm:
        vm.expect(r"KENTRY tsc=\d+")
        vm.prompt()
        assert vm.run("echo $((40 + 2))").strip() == "42"
        assert "panic" not in vm.text
        cpus = vm.run("grep -c ^processor /proc/cpuinfo").strip()
        vm.power_off(command=off)
        return vm.text, int(cpus)


@pytest.mark.parametrize("smp", [1, 2, 4, 8])
def test_efi_with_cpus(smp):
    assert boots(smp=str(smp), off="poweroff")[1] == smp


@pytest.mark.parametrize("mem", ["128M", "512M", "6G"])
def test_efi_with_memory(mem):
    boots(mem=mem)


@pytest.mark.parametrize("mem", ["64M", "20G"])
def test_pvh_with_memory(mem):
    boots(boot="pvh", mem=mem)


@pytest.mark.parametrize("options", [
    dict(machine="pc"),
    dict(machine="q35,hpet=off"),
    dict(machine="q35,hpet=off,i8042=off,pic=off,pit=off,smbus=off"),
    dict(cpu="qemu64"),
    dict(cpu="max"),
    dict(cpu="max,-la57"),
    dict(cpu="Skylake-Client-v4"),
    dict(vga="none"),
    dict(firmware="4m"),
    dict(boot_controller="nvme"),
    dict(boot_controller="virtio"),
    dict(mem="2G", smp="4", extra=(
        "-object", "memory-backend-ram,id=m0,size=1G", "-object", "memory-backend-ram,id=m1,size=1G",
        "-numa", "node,nodeid=0,memdev=m0,cpus=0-1", "-numa", "node,nodeid=1,memdev=m1,cpus=2-3")),
], ids=lambda o: ",".join(f"{k}={v}" for k, v in o.items() if k != "extra"))
def test_efi_machine(options):
    boots(**options)


@pytest.mark.parametrize("machine", ["q35", "pc"])
@pytest.mark.parametrize("cpu", ["qemu64", "max"])
def test_pvh_machine(machine, cpu):
    boots(boot="pvh", machine=machine, cpu=cpu)


@pytest.mark.parametrize("boot", ["bios-iso", "efi-iso"])
def test_grub(boot):
    text, _ = boots(boot=boot)
    assert "Multiboot2" in text


def test_no_serial_port():
    """Nothing to read and nowhere to type: that the machine comes up shows by its going down."""
    with VM(serial="none", boot="pvh", append="init=/sbin/poweroff -- -f") as vm:
        vm.qmp.wait_event("SHUTDOWN", 60)


def test_kernel_is_small():
    import os
    assert os.path.getsize(KERNEL.replace("release/kernel.elf", "esp/EFI/keel/kernel.elf")) < 2 << 20
