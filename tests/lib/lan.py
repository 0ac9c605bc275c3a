"""The other end of the wire. Wire: frames to and from a machine's NIC as bytes, for tests that
speak scapy; needs no rights. Lan: a network name space with a tap, on which Linux's own stack, dnsmasq
or radvd answer; needs root. Either may have a bad link (tests/link) in between."""
import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import tempfile
import time

from vm import TOP

LINK = f"{TOP}/build/link"
_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent():
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Wire:
    """with Wire() as wire, VM(net=wire.net, nic="virtio") as vm: wire.send(bytes(frame)); wire.recv(1)"""

    def __enter__(self):
        self.work = tempfile.TemporaryDirectory(prefix="keel-wire-")
        self.mine, self.guest = f"{self.work.name}/host", f"{self.work.name}/guest"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(self.mine)
        self.net = (f"dgram,local.type=unix,local.path={self.guest},"
                    f"remote.type=unix,remote.path={self.mine}")
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.work.cleanup()

    def send(self, frame):
        self.socket.sendto(bytes(frame), self.guest)

    def recv(self, seconds):
        """The next frame, or None when none came in time."""
        self.socket.settimeout(max(seconds, 0.001))
        try:
            return self.socket.recv(70000)
        except TimeoutError:
            return None

    def drain(self):
        while self.recv(0) is not None:
            pass


def run(*args, **kw):
    return subprocess.run(args, check=True, capture_output=True, text=True, **kw).stdout


class Lan:
    """A name space with one tap. `link` (a dict of tests/link options, values as text) puts a bad
    link between the guest and the tap. vm options: **lan.vm_options."""

    count = 0

    def __init__(self, link=None, v4="10.77.0.1/24", v6="fd77::1/64", vnet=False):
        Lan.count += 1
        self.name = f"keel{os.getpid()}-{Lan.count}"
        self.link_options, self.v4, self.v6, self.vnet = link, v4, v6, vnet
        self.processes, self.fds = [], []

    @staticmethod
    def is_possible():
        return os.geteuid() == 0 and os.path.exists("/dev/net/tun")

    def __enter__(self):
        self.work = tempfile.TemporaryDirectory(prefix="keel-lan-")
        try:
            self._set_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _set_up(self):
        run("ip", "netns", "add", self.name)
        self.ip("link", "set", "lo", "up")
        tap = self._open_tap("tap0")
        if self.v4:
            self.ip("addr", "add", self.v4, "dev", "tap0")
        if self.v6:
            self.ip("addr", "add", self.v6, "dev", "tap0", "nodad")
        self.ip("link", "set", "tap0", "up")
        if self.link_options is None:
            self.vm_options = {"net": f"tap,fd={tap}", "fds": (tap,)}
            return
        near, far = f"{self.work.name}/link", f"{self.work.name}/guest"
        options = [x for k, v in self.link_options.items() for x in (f"--{k}", str(v))]
        self.link = subprocess.Popen([LINK, f"fd:{tap}", f"unix:{near},{far}", *options], pass_fds=(tap,),
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                     preexec_fn=_die_with_parent)
        self.processes.append(self.link)
        end = time.monotonic() + 5
        while not os.path.exists(near) and time.monotonic() < end:
            time.sleep(0.01)
        self.guest_path = far  # frames sent here reach the guest too
        self.vm_options = {"net": f"dgram,local.type=unix,local.path={far},remote.type=unix,remote.path={near}"}

    def _open_tap(self, name):
        """Opened inside the name space; the descriptor is good outside."""
        with self._inside():
            fd = os.open("/dev/net/tun", os.O_RDWR)
            self.fds.append(fd)
            flags = 0x1002 | (0x4000 if self.vnet or self.link_options is None else 0)  # TAP, NO_PI, VNET_HDR
            fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH14x", name.encode(), flags))  # TUNSETIFF
            return fd

    @contextlib.contextmanager
    def _inside(self):
        """This thread is in the name space."""
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        inside = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            if _libc.setns(inside, 0):
                raise OSError(ctypes.get_errno(), "setns")
            yield
        finally:
            _libc.setns(home, 0)
            os.close(home)
            os.close(inside)

    def socket(self, *args):
        """A socket of Linux's own stack on the other end."""
        with self._inside():
            return socket.socket(*args)

    def __exit__(self, *_):
        for p in reversed(self.processes):
            p.terminate()
            try:
                p.wait(5)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
            for stream in (p.stdin, p.stdout):
                if stream:
                    stream.close()
        for fd in self.fds:
            os.close(fd)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)
        self.work.cleanup()

    def set_link(self, **options):
        """Other settings for the bad link from now on: `-` in a name is `_` here. Only with `link`."""
        for k, v in options.items():
            self.link.stdin.write(f"{k.replace('_', '-')} {v}\n")
        self.link.stdin.flush()

    def ip(self, *args):
        return run("ip", "-n", self.name, *args)

    def run(self, *args, **kw):
        """A command in the name space; its output. Raises when it fails."""
        return run("ip", "netns", "exec", self.name, *args, **kw)

    def does(self, *args):
        """Whether a command in the name space ends well."""
        return subprocess.run(["ip", "netns", "exec", self.name, *args], capture_output=True).returncode == 0

    def start(self, *args, **kw):
        """A daemon in the name space, ended with it. Its output goes to a file: returns the path."""
        log = f"{self.work.name}/{os.path.basename(args[0])}.log"
        with open(log, "a") as out:
            p = subprocess.Popen(["ip", "netns", "exec", self.name, *args], stdin=subprocess.DEVNULL,
                                 stdout=out, stderr=out, preexec_fn=_die_with_parent, **kw)
        self.processes.append(p)
        return log

    def dnsmasq(self, *args):
        return self.start("/usr/sbin/dnsmasq", "-k", "-C", "/dev/null", "--no-resolv", "--no-hosts",
                          "--interface=tap0", "--bind-interfaces", "--user=root", "--log-dhcp",
                          f"--dhcp-leasefile={self.work.name}/leases", "--log-facility=-",
                          f"--pid-file={self.work.name}/dnsmasq.pid", *args)

    def radvd(self, text):
        conf = f"{self.work.name}/radvd.conf"
        with open(conf, "w") as f:
            f.write(text)
        os.chmod(conf, 0o644)
        return self.start("/usr/sbin/radvd", "-n", "-C", conf, "-p", f"{self.work.name}/radvd.pid", "-m", "stderr")
