"""The screen and the keyboard: keys typed through the machine's keyboard, text read off its screen by
matching the pixels with the font."""
import gzip
import struct
import time

import pytest
from conftest import DEBUG_KERNEL
from vm import VM

FONT = "/usr/share/consolefonts/Unifont-APL8x16.psf.gz"
KEYS = {" ": "spc", "\n": "ret", "-": "minus", "/": "slash", ".": "dot", ";": "semicolon"}
SHIFTED = {">": "dot", "|": "backslash", "_": "minus", "$": "4", "?": "slash"}


def ascii_glyphs():
    data = gzip.open(FONT).read()
    count = 512 if data[2] & 1 else 256
    words = struct.unpack_from(f"<{(len(data) - 4 - count * 16) // 2}H", data, 4 + count * 16)
    glyphs, index = {}, 0
    for w in words:
        if w == 0xffff:
            index += 1
        elif 32 <= w < 127:
            glyphs[data[4 + index * 16:20 + index * 16]] = chr(w)
    return glyphs


GLYPHS = ascii_glyphs()


def screen(vm, path):
    """The lines of text on the screen."""
    vm.qmp.command("screendump", filename=str(path))
    data = open(path, "rb").read()
    _, size, _, pixels = data.split(b"\n", 3)
    width, height = map(int, size.split())
    lines = []
    for top in range(0, height - 15, 16):
        line = ""
        for left in range(0, width - 7, 8):
            rows = [pixels[3 * ((top + y) * width + left):3 * ((top + y) * width + left + 8)] for y in range(16)]
            back = rows[0][:3]  # no glyph begins at its top left corner
            bits = bytes(sum((r[3 * x:3 * x + 3] != back) << (7 - x) for x in range(8)) for r in rows)
            line += GLYPHS.get(bits, "?" if any(bits) else " ")
        lines.append(line.rstrip())
    return lines


def wait_for(vm, path, wanted, limit=30):
    end = time.monotonic() + limit
    while True:
        lines = screen(vm, path)
        if any(wanted in line for line in lines):
            return lines
        assert time.monotonic() < end, "\n".join(lines)
        time.sleep(0.3)


def type_keys(vm, text):
    for c in text:
        keys = [KEYS.get(c, c)] if c not in SHIFTED and not c.isupper() else ["shift", SHIFTED.get(c, c.lower())]
        vm.qmp.command("send-key", keys=[{"type": "qcode", "data": k} for k in keys])
        time.sleep(0.15)  # send-key holds a key for a tenth of a second


@pytest.fixture(scope="module", params=["efi", "efi-iso"])
def machine(request):
    kernel = DEBUG_KERNEL if request.param == "efi" else None
    with VM(boot=request.param, kernel=kernel, mem="256M", limit=60) as vm:
        vm.prompt()
        yield vm


def test_screen_shows_the_log_and_takes_keys(machine, tmp_path):
    shot = tmp_path / "shot.ppm"
    lines = wait_for(machine, shot, "Please press Enter")
    assert any("Keel 0." in line for line in lines)
    type_keys(machine, "\n")
    wait_for(machine, shot, "root@keel:~#")
    type_keys(machine, "tty; echo Hello_World | tr a-z A-Z\n")
    lines = wait_for(machine, shot, "HELLO_WORLD")
    assert "/dev/tty1" in lines


def test_screen_scrolls_and_keeps_colours(machine, tmp_path):
    shot = tmp_path / "shot.ppm"
    type_keys(machine, "seq 1 200\n")
    lines = wait_for(machine, shot, "200")
    numbers = [int(line) for line in lines if line.isdigit()]
    assert numbers == list(range(numbers[0], 201)) and len(numbers) > 20
