"""What the build leaves behind: the same bytes each time, and a disk other tools agree with."""
import shutil
import subprocess

import pytest
from vm import TOP

pytestmark = pytest.mark.alone

FILES = ["esp/EFI/BOOT/BOOTX64.EFI", "esp/EFI/keel/kernel.elf", "esp/EFI/keel/initrd.cpio.gz",
         "esp/EFI/keel/keel.conf", "release/kernel.elf", "keel.img"]


def test_a_clean_build_elsewhere_gives_the_same_bytes(tmp_path):
    tree = tmp_path / "another" / "place"
    shutil.copytree(TOP, tree, ignore=shutil.ignore_patterns("build", ".git", "__pycache__"))
    subprocess.run(["make", "-j2", "all"], cwd=tree, check=True, capture_output=True)
    different = [f for f in FILES
                 if (tree / "build" / f).read_bytes() != open(f"{TOP}/build/{f}", "rb").read()]
    assert not different


def test_disk_image_is_a_sound_gpt_disk_with_an_esp(tmp_path):
    image = f"{TOP}/build/keel.img"
    text = subprocess.run(["/sbin/sgdisk", "--verify", "--print", image], check=True, capture_output=True,
                          text=True).stdout
    assert "No problems found" in text and "EF00" in text
    with open(image, "rb") as f, open(tmp_path / "esp", "wb") as out:
        f.seek(2048 * 512)
        out.write(f.read(64 << 20))
    subprocess.run(["/sbin/fsck.fat", "-n", tmp_path / "esp"], check=True, capture_output=True)
