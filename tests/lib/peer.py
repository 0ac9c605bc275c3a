"""A host of packets by hand: scapy on the wire to one machine. It answers ARP and neighbour
solicitations for its own addresses (unless told not to), and collects everything else.

The machine has one CPU and handles what it took from the NIC in one go before it takes more, if not in
order: `ask` sends a frame and then echo requests of its own as fences, the second when the first was
answered; what arrives before the second's answer is the whole answer."""
import itertools
import threading
import time

from scapy.all import (ARP, Ether, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS,
                       ICMPv6NDOptDstLLAddr, IPv6, TCP, conf)
from vm import VM

from lan import Wire

conf.verb = 0

MAC, MAC2 = "02:00:00:00:00:01", "02:00:00:00:00:02"
V4, V6, LL6 = "10.77.0.1", "fd77::1", "fe80::1"
KEEL4, KEEL6 = "10.77.0.2", "fd77::2"
FENCE6 = "fd77::f"
NO_MAC = "00:00:00:00:00:00"
MARK = 0x6b65


class Peer:
    """with Peer(nic="e1000e") as peer: peer.ask(frame) -> list of frames"""

    def __init__(self, append="", **vm):
        vm.setdefault("nic", "e1000e")
        vm.setdefault("smp", "1")
        self.wire = Wire()
        self.vm_options = dict(boot="pvh", mem="256M", limit=60, **vm)
        self.append = f"ip={KEEL4}::{V4}:255.255.255.0:keel:eth0:off ip6={KEEL6}/64,fd77::1,eth0 {append}"
        self.answers_for = {V4, V6, LL6, FENCE6}
        self.frames, self.changed = [], threading.Condition()
        self.is_over = False
        self.fences = itertools.count(1)
        self.ports = itertools.count(20000)

    def __enter__(self):
        self.wire.__enter__()
        self.vm = VM(net=self.wire.net, append=self.append, **self.vm_options)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        try:
            self.vm.__enter__()
            self.vm.prompt()
            self.vm.run("dmesg -n 1")
            for limit in ("ipv4/icmp_ratelimit", "ipv6/icmp/ratelimit"):
                self.vm.run(f"echo 0 >/proc/sys/net/{limit}")
            self._learn()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.vm.__exit__()
        self.thread.join(5)
        self.wire.__exit__()

    def _learn(self):
        """The machine's own MAC address, once its addresses are past their checks."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            self.send(Ether(src=MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=MAC, psrc=V4, pdst=KEEL4))
            for f in self.wait(lambda f: ARP in f and f[ARP].op == 2 and f[ARP].psrc == KEEL4, 0.5)[:1]:
                self.mac = f[ARP].hwsrc
                # Its neighbour cache knows us when the tests begin.
                if all(self._is_heard(src) for src in (FENCE6, V6, LL6)):
                    return
        raise AssertionError("the machine does not answer:\n" + self.vm.text[-2000:])

    def _read(self):
        while not self.is_over:
            raw = self.wire.recv(0.2)
            if raw is None:
                continue
            frame = Ether(raw)
            reply = self._answer(frame)
            if reply is not None:
                self.send(reply)
                continue
            with self.changed:
                self.frames.append(frame)
                self.changed.notify_all()

    def _answer(self, f):
        if ARP in f and f[ARP].op == 1 and f[ARP].pdst in self.answers_for and f[ARP].psrc != "0.0.0.0":
            return Ether(src=MAC, dst=f.src) / ARP(op=2, hwsrc=MAC, psrc=f[ARP].pdst, hwdst=f[ARP].hwsrc,
                                                   pdst=f[ARP].psrc)
        if ICMPv6ND_NS in f and f[ICMPv6ND_NS].tgt in self.answers_for and f[IPv6].src != "::":
            return (Ether(src=MAC, dst=f.src) / IPv6(src=f[ICMPv6ND_NS].tgt, dst=f[IPv6].src, hlim=255) /
                    ICMPv6ND_NA(tgt=f[ICMPv6ND_NS].tgt, R=0, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=MAC))
        return None

    def send(self, frame):
        self.wire.send(bytes(frame))

    def wait(self, wanted, seconds):
        """The first frame for which wanted(frame) holds, then those before it; empty: none came in time."""
        end = time.monotonic() + seconds
        with self.changed:
            while True:
                for i, f in enumerate(self.frames):
                    if wanted(f):
                        found = self.frames[:i + 1]
                        del self.frames[:i + 1]
                        return found[-1:] + found[:-1]
                left = end - time.monotonic()
                if left <= 0 or not self.changed.wait(left):
                    return []

    def to_machine(self, frame):
        """With the machine's own MAC where a table, made before it was known, has none."""
        if frame.dst == NO_MAC:
            frame = frame.copy()
            frame.dst = self.mac
        return frame

    def forget(self):
        with self.changed:
            self.frames.clear()

    def _is_heard(self, src):
        self.send(self.echo6(0, src))
        return bool(self.wait(self.is_fence(0), 1))

    def echo6(self, n, src=FENCE6):
        return Ether(src=MAC, dst=self.mac) / IPv6(src=src, dst=KEEL6) / ICMPv6EchoRequest(id=MARK, seq=n)

    @staticmethod
    def is_fence(n):
        return lambda f: ICMPv6EchoReply in f and f[ICMPv6EchoReply].id == MARK and f[ICMPv6EchoReply].seq == n

    def ask(self, *frames):
        """Sends the frames; what the machine sent until it had handled them."""
        self.forget()
        for f in frames:
            self.send(f)
        return self.fence() + self.fence()

    def tcp_fence(self):
        """The same for bare acknowledgements, which the machine holds back until it has taken all there is
        from the NIC, and on a busy host that may include the fences: one of its own, which a closed port
        refuses, is held back with them."""
        sport, mark = next(self.ports), 0x6b656570
        self.send(Ether(src=MAC, dst=self.mac) / IPv6(src=FENCE6, dst=KEEL6) /
                  TCP(sport=sport, dport=1, flags="A", seq=1, ack=mark))
        got = self.wait(lambda f: TCP in f and f[TCP].dport == sport and f[TCP].seq == mark, 5)
        assert got, "the machine does not refuse the fence:\n" + self.vm.text[-1500:]
        return got[1:] + self.fence()

    def fence(self):
        n = next(self.fences) & 0xffff
        self.send(self.echo6(n))
        got = self.wait(self.is_fence(n), 5)
        assert got, "the machine does not answer the fence:\n" + self.vm.text[-1500:]
        return got[1:]
