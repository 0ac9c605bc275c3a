"""Every CPU busy with everything at once, on the debug kernel: nothing fails, nothing is lost."""
import re
import subprocess

import pytest
from conftest import DEBUG_KERNEL
from vm import TOP, VM

pytestmark = pytest.mark.alone
SECONDS = 60


def free_kib(vm):
    return int(re.search(r"MemFree:\s+(\d+)", vm.run("cat /proc/meminfo")).group(1))


def leaks(vm):
    """Objects in use that were allocated since the mark, by place."""
    return {m[2]: int(m[1]) for m in re.finditer(r"^\s*(\d+) .*?(\S+)$", vm.run("cat /proc/slab_leaks"), re.M)}


def test_all_cpus_busy_for_a_minute(tmp_path):
    (tmp_path / "list").write_text(f"file /stress {TOP}/build/guest/stress 755\n", encoding="ascii")
    subprocess.run([f"{TOP}/scripts/mkcpio", tmp_path / "stress.cpio", tmp_path / "list"], check=True)
    initrd = [f"{TOP}/build/initrd.cpio.gz", str(tmp_path / "stress.cpio")]
    with VM(boot="pvh", kernel=DEBUG_KERNEL, smp="4", mem="512M", initrd=initrd, limit=60) as vm:
        vm.prompt()
        vm.run("dmesg -n 1")
        assert "STRESS OK" in vm.run("/stress 3")  # what is cached once for all is cached now
        before = free_kib(vm)
        vm.run("echo mark >/proc/slab_leaks")
        out = vm.run(f"/stress {SECONDS}", limit=SECONDS + 120)
        assert "STRESS OK" in out, out
        assert all(int(n) > 0 for n in re.findall(r"^\w+ (\d+)$", out, re.M))
        vm.run("sleep 1")
        lost = before - free_kib(vm)
        assert lost < 2048, f"{lost} KiB less memory is free\n{vm.run('cat /proc/slab_leaks')}"
        many = {where: n for where, n in leaks(vm).items() if n > 100}
        assert not many, many
        assert "stress" not in vm.run("ps | grep -v grep")
        vm.power_off(command="poweroff")
