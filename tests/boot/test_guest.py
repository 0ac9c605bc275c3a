"""The programs of tests/guest: each runs inside, one boot for all, on every kind of processor."""
import glob
import os
import subprocess

import pytest
from conftest import DEBUG_KERNEL
from vm import TOP, VM

PROGRAMS = sorted(os.path.basename(p)[:-2] for p in glob.glob(f"{TOP}/tests/guest/*.c")
                  if not p.endswith("stress.c"))  # test_stress.py has its own boot


@pytest.fixture(scope="module")
def initrd(tmp_path_factory):
    """The programs as /guest/NAME, to be laid over the default initrd."""
    folder = tmp_path_factory.mktemp("guest")
    with open(folder / "list", "w", encoding="ascii") as f:
        f.writelines(f"file /guest/{p} {TOP}/build/guest/{p} 0755\n" for p in PROGRAMS)
    out = folder / "guest.cpio"
    subprocess.run([f"{TOP}/scripts/mkcpio", out, folder / "list"], check=True)
    return [f"{TOP}/build/initrd.cpio.gz", str(out)]


@pytest.fixture(scope="module", params=["max,smp=2", "qemu64,smp=1", "Skylake-Client-v4,smp=4"])
def machine(request, initrd):
    cpu, smp = request.param.split(",smp=")
    with VM(boot="pvh", kernel=DEBUG_KERNEL, cpu=cpu, smp=smp, initrd=initrd, limit=120) as vm:
        vm.prompt()
        vm.run("dmesg -n 1")
        yield vm


@pytest.mark.parametrize("program", PROGRAMS)
def test_program(machine, program):
    out = machine.run(f"/guest/{program}; echo status $?", limit=300)
    assert "FAIL" not in out, out
    assert "status 0" in out, out
