"""The three doors: what the EFI loader makes of good and bad ESPs, and what all of them hand over.

Each test that needs only the loader looks for its message on the firmware's console, or for the
kernel's first lines."""
import os
import shutil
import struct
import subprocess

import pytest
from vm import TOP, VM

ESP = f"{TOP}/build/esp"


@pytest.fixture
def esp(tmp_path):
    """A copy of the ESP tree to spoil."""
    shutil.copytree(ESP, tmp_path / "esp")
    return tmp_path / "esp"


def image_of(esp):
    out = f"{esp}.img"
    subprocess.run([f"{TOP}/scripts/mkimage", out, str(esp)], check=True, stdout=subprocess.DEVNULL)
    return out


def keel(esp, name):
    return esp / "EFI" / "keel" / name


def patch(path, at, data):
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(data)


def start(esp, pattern, limit=60, **options):
    """Boots the tree until the pattern; returns all that was written."""
    with VM(limit=limit, image=image_of(esp), **options) as vm:
        vm.expect(pattern)
        return vm.text


def refuses(esp, message):
    """The loader says why, and goes back to the firmware, which then has its own say."""
    with VM(limit=60, image=image_of(esp)) as vm:
        vm.expect("Keel: error: " + message)
        vm.expect("Back to the firmware")
        vm.send(" ")
        vm.expect("failed to (start|load) Boot|Shell|BdsDxe|PXE|UiApp")
        assert "KENTRY" not in vm.text


def program_headers(data):
    (phoff,), (phnum,) = struct.unpack_from("<Q", data, 32), struct.unpack_from("<H", data, 56)
    for i in range(phnum):
        yield struct.unpack_from("<IIQQQQQQ", data, phoff + i * 56)


# ---- Damaged ESPs ------------------------------------------------------------------


def test_missing_kernel(esp):
    keel(esp, "kernel.elf").unlink()
    refuses(esp, "kernel.elf: not found")


def test_missing_initrd(esp):
    keel(esp, "initrd.cpio.gz").unlink()
    refuses(esp, "initrd.cpio.gz: not found")


def test_truncated_kernel(esp):
    path = keel(esp, "kernel.elf")
    os.truncate(path, path.stat().st_size // 2)
    refuses(esp, "kernel.elf: truncated")


def test_empty_kernel(esp):
    os.truncate(keel(esp, "kernel.elf"), 0)
    refuses(esp, "kernel.elf: the file is empty")


def test_kernel_of_another_machine(esp):
    patch(keel(esp, "kernel.elf"), 18, struct.pack("<H", 183))
    refuses(esp, "kernel.elf: an ELF file, but not for x86-64")


def test_kernel_that_is_no_elf(esp):
    keel(esp, "kernel.elf").write_bytes(b"MZ" + b"x" * 5000)
    refuses(esp, "kernel.elf: not an ELF file")


def test_kernel_with_a_bad_relocation(esp):
    path = keel(esp, "kernel.elf")
    data = path.read_bytes()
    dynamic = next(p for p in program_headers(data) if p[0] == 2)
    relr = next(v for t, v in struct.iter_unpack("<QQ", data[dynamic[2]:dynamic[2] + dynamic[5]]) if t == 36)
    head = next(p for p in program_headers(data) if p[0] == 1)
    patch(path, relr - head[3] + head[2], struct.pack("<Q", 0xffffffffbffffff0))
    refuses(esp, "kernel.elf: bad relocation")


def test_bad_conf_lines_are_named_and_boot_goes_on(esp):
    keel(esp, "keel.conf").write_text("# fine\ncolour = green\nvideo = wide\njust words\ncmdline = loglevel=7\n")
    text = start(esp, "KENTRY")
    assert "keel.conf line 2: unknown key: colour" in text
    assert "keel.conf line 3: video is auto, keep, none or WIDTHxHEIGHT, not: wide" in text
    assert "keel.conf line 4: no '=' in: just words" in text


def test_conf_of_random_bytes(esp):
    keel(esp, "keel.conf").write_bytes(bytes((i * 167 + (i >> 3)) & 255 for i in range(3000)))
    start(esp, "KENTRY")


def test_without_conf_the_defaults_are_used(esp):
    keel(esp, "keel.conf").unlink()
    assert "keel.conf: not found: the defaults are used" in start(esp, r"KENTRY")


# ---- What keel.conf can ask for ----------------------------------------------------


def test_several_initrds_and_a_kernel_by_another_name(esp):
    keel(esp, "kernel.elf").rename(esp / "new kernel.elf")
    (esp / "second.cpio").write_bytes(b"\0" * 5000)
    keel(esp, "keel.conf").write_text("kernel = /new kernel.elf\ninitrd = initrd.cpio.gz, /second.cpio\n")
    text = start(esp, r"boot: initrd 1: 5000 bytes")
    assert f"initrd 0: {keel(esp, 'initrd.cpio.gz').stat().st_size} bytes" in text


def test_large_initrd(esp):
    (esp / "large").write_bytes(os.urandom(1 << 20) * 300)
    keel(esp, "keel.conf").write_text("initrd = /large\n")
    start(esp, f"initrd 0: {300 << 20} bytes", limit=180, mem="1G")


@pytest.mark.parametrize("wish,size", [("1024x768", "1024x768"), ("auto", "1920x1080"), ("keep", "1280x800"),
                                       ("31x17", r"1280x800")])
def test_video_mode(esp, wish, size):
    keel(esp, "keel.conf").write_text(f"video = {wish}\n")
    text = start(esp, f"framebuffer {size}, 32 bits")
    assert ("the firmware has no mode 31x17" in text) == (wish == "31x17")


@pytest.mark.parametrize("options", [dict(vga="none"), dict(vga="virtio-gpu-pci"), dict(vga="ramfb"),
                                     dict(vga="cirrus-vga", machine="pc")],
                         ids=lambda o: o["vga"])
def test_display_devices(options):
    with VM(**options) as vm:
        vm.expect(r"cpu: ")
        if options["vga"] in ("none", "virtio-gpu-pci"):  # no screen, or one without memory (BltOnly)
            assert "framebuffer" not in vm.text
        else:
            assert "framebuffer" in vm.text


# ---- What is handed over -----------------------------------------------------------


def mapped_ranges(vm):
    text = vm.qmp.command("human-monitor-command", **{"command-line": "info mem"})
    for line in text.splitlines():
        where, size, rights = line.split()
        yield int(where.split("-")[0], 16), int(size, 16), rights


def places(vm):
    """Virtual addresses of the image and of the direct map."""
    starts = [base for base, _, _ in mapped_ranges(vm)]
    return min(s for s in starts if s >= 0xffffffff80000000), min(starts)


@pytest.mark.parametrize("cpu", ["qemu64", "max"])
def test_no_identity_map_is_left(cpu):
    with VM(cpu=cpu) as vm:
        vm.expect("cpu: ")
        assert all(base >= 1 << 63 for base, _, _ in mapped_ranges(vm))


def test_kaslr_moves_image_and_direct_map(esp):
    image, seen = image_of(esp), set()
    for _ in range(3):
        with VM(image=image) as vm:
            vm.expect("cpu: ")
            seen.add(places(vm))
    assert len({i for i, _ in seen}) == 3 and len({d for _, d in seen}) == 3
    assert all(i % (2 << 20) == 0 and d % (1 << 30) == 0 for i, d in seen)


def test_nokaslr_keeps_them(esp):
    keel(esp, "keel.conf").write_text("cmdline = nokaslr\n")
    with VM(image=image_of(esp)) as vm:
        vm.expect("cpu: ")
        assert places(vm) == (0xffffffff80200000, 0xffff800000000000)


def spoiled_by(esp, program):
    """Puts tests/efi/PROGRAM before the loader: it does its thing to the firmware first."""
    boot = esp / "EFI" / "BOOT"
    subprocess.run(["make", "-C", TOP, "-s", f"build/release/{program}.efi"], check=True)
    (boot / "BOOTX64.EFI").rename(boot / "KEEL.EFI")
    shutil.copy(f"{TOP}/build/release/{program}.efi", boot / "BOOTX64.EFI")
    return esp


def test_firmware_with_5_level_paging(esp):
    # One CPU: the firmware parks the others by page tables of 4 levels, as it knows nothing of this.
    text = start(spoiled_by(esp, "la57"), "cpu: ", cpu="max", smp="1")
    assert "5-level paging is on" in text


def test_zeroed_rsdp(esp):
    text = start(spoiled_by(esp, "zero_rsdp"), "time: ", smp="1")
    assert "RSDP zeroed" in text
    assert "the ACPI root pointer is damaged: starting without ACPI" in text
    assert "no ACPI tables" in text


def test_memory_map_of_a_thousand_pieces_that_changes_at_the_last_moment(esp):
    text = start(spoiled_by(esp, "moody"), r"usable of \d+ map entries")
    assert "in a bad mood" in text
    assert int(text.split(" map entries")[0].split()[-1]) > 1000


def test_firmware_dma_is_stopped():
    """The disk the loader was read from, and a NIC that firmware drives, are no bus masters any more
    when the kernel starts; read by the machine's own configuration ports."""
    with VM(nic="e1000", boot_controller="ahci", machine="q35") as vm:
        vm.expect("KENTRY")
        vm.qmp.command("stop")
        commands = []
        for device in (0x00, 0x02, 0x1f):
            for function in (0, 2):
                where = 0x80000004 | device << 11 | function << 8
                vm.qmp.command("human-monitor-command", **{"command-line": f"o /4 0xcf8 {where:#x}"})
                answer = vm.qmp.command("human-monitor-command", **{"command-line": "i /4 0xcfc"})
                commands.append(int(answer.split("=")[1], 16) & 0xffff)
        host, _, nic, _, isa, ahci = commands
        assert nic & 7 == 3 and ahci & 7 == 3, [hex(c) for c in commands]


def test_pvh_hands_over_memory_initrd_and_command_line():
    with VM(boot="pvh", mem="64M", append="loglevel=8 quirk") as vm:
        vm.expect(r"boot: memory 0000100000-\S+ usable")
        vm.expect(r"boot: memory 0000200000-\S+ kernel")
        vm.expect(r"boot: initrd 0: %d bytes" % os.path.getsize(f"{TOP}/build/initrd.cpio.gz"))


@pytest.mark.parametrize("boot", ["bios-iso", "efi-iso"])
def test_grub_hands_over_several_modules(tmp_path, boot):
    """A kernel file that GRUB takes, modules with and without command line, and the kernel's own."""
    tree = tmp_path / "iso"
    shutil.copytree(f"{TOP}/build/iso", tree)
    (tree / "boot" / "second").write_bytes(b"\0" * 4097)
    (tree / "boot" / "grub" / "grub.cfg").write_text(
        "insmod all_video\nset timeout=0\nmenuentry Keel {\n multiboot2 /boot/kernel.elf loglevel=8\n"
        " module2 --nounzip /boot/initrd.cpio.gz first module\n module2 /boot/second\n}\n")
    iso = tmp_path / "k.iso"
    subprocess.run(["grub-mkrescue", "-o", iso, tree], check=True, capture_output=True)
    with VM(boot=boot, iso=str(iso)) as vm:
        vm.expect("through Multiboot2 by GRUB")
        vm.expect(r"framebuffer \d+x\d+, (24|32) bits")
        vm.expect(r"initrd 0: %d bytes" % os.path.getsize(f"{TOP}/build/initrd.cpio.gz"))
        vm.expect(r"initrd 1: 4097 bytes")
        vm.expect(r"acpi: [1-9]")
        assert ("EFI runtime" in vm.text) == (boot == "efi-iso")


def test_kernel_file_passes_grubs_own_check():
    subprocess.run(["grub-file", "--is-x86-multiboot2", f"{ESP}/EFI/keel/kernel.elf"], check=True)
