"""A machine under test: scripts/qemulib's, with the serial line to read and type on."""
import os
import re
import selectors
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts"))
import qemulib  # noqa: E402
from qemulib import (ENDED_PANIC, ENDED_POWER_OFF, ENDED_RESET, ENDED_TIMEOUT, TOP)  # noqa: E402,F401

LOG_LINES = r"(?:\[ *\d+\.\d{6}\] [^\n]*\n)*"
# A log line may come after the prompt.
PROMPT = r"root@keel:[^\n]*# (?:$|(?=\[ *\d+\.\d{6}\] ))"


class VM:
    """with VM(boot="pvh", smp="4") as vm: vm.expect("..."); vm.type("ls"). Options as in qemulib.

    Everything the guest writes is kept in `text`; expect() reads on from where the last one matched.
    A panic in the guest fails an expect at once, unless that is what it waits for."""

    def __init__(self, limit=30, **kw):
        self.limit, self.text, self.at = limit, "", 0
        self.is_wide = False
        kw.setdefault("no_reboot", True)
        kw.setdefault("nic", "none")
        self.options = qemulib.Options(**kw)

    def __enter__(self):
        self.has_serial = self.options.serial == "stdio"
        if self.has_serial:
            path = f"/tmp/keel-serial-{os.getpid()}-{id(self)}"
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(path)
            listener.listen(1)
            self.options.serial = f"socket,path={path},server=off"
        try:
            self.machine = qemulib.Machine(self.options, stdin=-3)
        finally:
            if self.has_serial:
                listener.settimeout(0.1)
        if self.has_serial:
            self.line = listener.accept()[0]
            listener.close()
            os.unlink(path)
            self.line.setblocking(False)
        self.qmp = self.machine.qmp
        return self

    def __exit__(self, *_):
        self.machine.close()
        if self.has_serial:
            self.line.close()

    def _read(self, seconds):
        """Takes what the guest wrote; False at the end of the line."""
        with selectors.DefaultSelector() as s:
            s.register(self.line, selectors.EVENT_READ)
            if not s.select(seconds):
                return True
        try:
            data = self.line.recv(65536)
        except ConnectionError:
            data = b""
        self.text += data.decode("utf-8", "replace").replace("\r", "")
        # The shell asks a terminal of unknown size for its cursor: not output of a command.
        self.text = self.text[:self.at] + self.text[self.at:].replace("\x1b[6n", "")
        return bool(data)

    def expect(self, pattern, limit=None):
        """Waits for the regular expression after the last match; returns the match."""
        end = time.monotonic() + (limit or self.limit)
        wanted = re.compile(pattern, re.M)
        alive = True
        while True:
            m = wanted.search(self.text, self.at)
            if m:
                self.at = m.end()
                return m
            p = self.text.find("Kernel panic", self.at)
            if p >= 0:
                self._read_for(2)
                raise AssertionError(f"the guest panicked, waiting for {pattern!r}:\n{self.text[p - 300:]}")
            if not alive or time.monotonic() > end:
                why = "time is up" if alive else "the guest ended"
                raise AssertionError(f"{why}, waiting for {pattern!r}; last output:\n{self.text[-3000:]}")
            alive = self._read(min(1.0, max(0.0, end - time.monotonic())))

    def _read_for(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._read(0.2):
            pass

    def send(self, text):
        """Types `text` as it is."""
        self.line.setblocking(True)
        # A slow UART: a burst longer than its FIFO would be lost on a busy guest.
        for i in range(0, len(text), 16):
            self.line.sendall(text[i:i + 16].encode())
        self.line.setblocking(False)

    def prompt(self, limit=None):
        return self.expect(PROMPT, limit)

    def run(self, command, limit=None):
        """Types a shell command at the prompt; returns what it printed."""
        if not self.is_wide:
            # Or the shell's line editor breaks long commands into lines.
            self.is_wide = True
            self.run("stty rows 50 cols 1000", limit)
        self.send(command + "\n")
        # The echo; log lines may come between any two of its characters.
        self.expect(LOG_LINES.join(map(re.escape, command[-20:] + "\n")), limit)
        start = self.at
        m = self.prompt(limit)
        return self.text[start:m.start()]

    def wait(self, limit=None):
        """Reads to the end of the guest; returns the ENDED_* code."""
        end = time.monotonic() + (limit or self.limit)
        while self.has_serial and time.monotonic() < end and self._read(min(1.0, end - time.monotonic())):
            pass
        return self.machine.wait(max(1.0, end - time.monotonic()))

    def power_off(self, limit=None, command="poweroff -f"):
        """At once; by "poweroff" init first ends all programs, which takes two seconds."""
        self.send(command + "\n")
        code = self.wait(limit)
        assert code == ENDED_POWER_OFF, f"ended with {code}:\n{self.text[-2000:]}"
