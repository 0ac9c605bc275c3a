"""TCP against Linux's stack over good and bad links: each NIC, both families, loss, delay, reordering.
Every byte is compared at the end that receives it (tests/guest/xfer.c); a cell whose data is wrong or that
stands still fails. Speed is measured and printed, and no reason to fail.

`make test` runs a sample; `make test-net-matrix` (KEEL_MATRIX=whole, or a list of cells' names) all cells,
each beside a Linux guest in the same cell, and writes build/net-matrix.txt. KEEL_MATRIX_MS is the time a
direction sends for, KEEL_MATRIX_RUNS how often each is measured (the median counts). A cell that falls short
of the goal is measured on, up to KEEL_MATRIX_MOST times, and all its runs count."""
import collections
import contextlib
import itertools
import math
import os
import re
import statistics
import subprocess
import time

import linux
import pytest
from conftest import DEBUG_KERNEL, KERNEL
from lan import Lan
from vm import TOP, VM

pytestmark = [pytest.mark.alone,
              pytest.mark.skipif(not Lan.is_possible(), reason="needs root and /dev/net/tun")]

XFER = f"{TOP}/build/guest/xfer"
NICS = ("virtio", "e1000", "e1000e")
PORT = 7000
MATRIX = os.environ.get("KEEL_MATRIX", "")
SEND_MS = int(os.environ.get("KEEL_MATRIX_MS", "2000" if MATRIX else "1000"))
RUNS = int(os.environ.get("KEEL_MATRIX_RUNS", "3" if MATRIX else "1"))
MOST_RUNS = int(os.environ.get("KEEL_MATRIX_MOST", "7"))
GOAL = 0.95  # of Linux's throughput in the same cell
REPORT = f"{TOP}/build/net-matrix.txt"

Cell = collections.namedtuple("Cell", "nic family loss delay reorder")
EVERY = [Cell(*c) for c in itertools.product(NICS, ("v4", "v6"), (0, 0.1, 1, 5), (0, 20, 100), (0, 1))]
SAMPLE = [
    Cell("virtio", "v4", 0, 0, 0), Cell("virtio", "v6", 5, 0, 1), Cell("e1000", "v6", 0, 20, 0),
    Cell("e1000", "v4", 1, 20, 1), Cell("e1000e", "v4", 0.1, 100, 0), Cell("e1000e", "v6", 1, 0, 0),
]


def name(cell):
    return f"{cell.nic}-{cell.family}-loss{cell.loss}-delay{cell.delay}-reorder{cell.reorder}"


CELLS = [c for c in EVERY if MATRIX == "whole" or re.search(MATRIX, name(c))] if MATRIX else SAMPLE


@pytest.fixture(scope="module")
def initrds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("matrix")
    (folder / "list").write_text(f"file /guest/xfer {XFER} 0755\n")
    subprocess.run([f"{TOP}/scripts/mkcpio", folder / "xfer.cpio", folder / "list"], check=True)
    keel = [f"{TOP}/build/initrd.cpio.gz", str(folder / "xfer.cpio")]
    return keel, linux.initrd(folder, [XFER]) if MATRIX and linux.kernel() else None


class Guest:
    """A machine on a bad link to a name space where xfer serves."""

    def __init__(self, make, link=None, is_linux=False):
        self.lan, self.make, self.is_linux = Lan(link=link or {}), make, is_linux

    def __enter__(self):
        self.lan.__enter__()
        try:
            # One cell must not teach the next.
            self.lan.run("sysctl", "-q", "-w", "net.ipv4.tcp_no_metrics_save=1")
            self.log = self.lan.start(XFER, "serve", str(PORT))
            self.vm = self.make(self.lan)
            self.vm.__enter__()
            self.vm.prompt()
        except BaseException:
            self.lan.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.vm.__exit__()
        self.lan.__exit__()

    def transfer(self, mode, family="v4", ms=SEND_MS, megabytes=1000, peer=None):
        """Bytes a second from the first to the last, as the name space saw it."""
        peer = peer or {"v4": "10.77.0.1", "v6": "fd77::1"}[family]
        served = len(lines_of(self.log))
        out = self.vm.run(f"/guest/xfer {mode} {peer} {PORT} {megabytes << 20} {ms}", limit=120 + ms / 1000)
        return self.check(out, mode, served)

    def check(self, out, mode, served):
        inner = re.search(rf"DONE {mode} sent (\d+) received (\d+) us \d+", out)
        assert inner and "FAIL" not in out, out
        end = time.monotonic() + 10
        while len(lines_of(self.log)) == served and time.monotonic() < end:
            time.sleep(0.05)
        outer = re.search(rf"SERVED {mode} sent (\d+) received (\d+) us (\d+)", "".join(lines_of(self.log)[served:]))
        assert outer, "the server says: " + "".join(lines_of(self.log)[served:])
        sent, received, us = map(int, outer.groups())
        assert (sent, received) == (int(inner.group(2)), int(inner.group(1)))
        assert sent + received > 0
        if not self.is_linux:
            self.sent_well()
        return (sent + received) / us * 1e6


    def sent_well(self):
        """The name space found no fault with a packet, for the link damages none, and none was a fragment."""
        faults = dict(re.findall(r"(Ip6(?:InHdrErrors|InTruncatedPkts|ReasmReqds))\s+(\d+)",
                                 self.lan.run("cat", "/proc/net/snmp6")))
        tables = self.lan.run("cat", "/proc/net/snmp").splitlines()
        for names, values in zip(tables[::2], tables[1::2]):
            table = names.split()[0]
            faults |= {table + n: v for n, v in zip(names.split(), values.split())
                       if table + n in ("Ip:InHdrErrors", "Ip:ReasmReqds", "Tcp:InCsumErrors")}
        assert len(faults) == 6 and not any(map(int, faults.values())), faults


def lines_of(path):
    with open(path, encoding="ascii", errors="replace") as f:
        return f.readlines()


def keel(initrds, nic, **options):
    def make(lan):
        return VM(boot="pvh", kernel=KERNEL if MATRIX else DEBUG_KERNEL, smp="2", mem="256M", limit=60, nic=nic,
                  initrd=initrds[0], append="ip=10.77.0.2::10.77.0.1:255.255.255.0:keel:eth0:off "
                  "ip6=fd77::2/64,fd77::1,eth0", **{**lan.vm_options, **options})
    return make


def linux_guest(initrds, nic):
    def make(lan):
        return linux.machine(initrds[1], smp="2", mem="512M", limit=120, nic=nic, **lan.vm_options)
    return make


@pytest.fixture(scope="module")
def guests_with(initrds):
    """guests_with(nic): Keel under that NIC; in the whole matrix Linux beside it, waiting its turn. They stay
    until another NIC is asked for, or None. (A parametrized fixture would be made anew for each cell.)"""
    with contextlib.ExitStack() as stack:
        kept = {}

        def start(nic):
            if nic not in kept:
                stack.close()
                kept.clear()
                if nic:
                    kept[nic] = start_guests(stack, initrds, nic)
            return kept.get(nic)
        yield start


def start_guests(stack, initrds, nic):
    ours = stack.enter_context(Guest(keel(initrds, nic)))
    wait_for_addresses(ours)
    if not initrds[1]:
        return [ours]
    theirs = stack.enter_context(Guest(linux_guest(initrds, nic), is_linux=True))
    theirs.vm.run("ip link set eth0 up; ip addr add 10.77.0.2/24 dev eth0; "
                  "ip addr add fd77::2/64 dev eth0; sysctl -q -w net.ipv4.tcp_no_metrics_save=1")
    wait_for_addresses(theirs)
    return [ours, theirs]


def wait_for_addresses(guest):
    guest.vm.run("dmesg -n 1")
    for address in ("10.77.0.1", "fd77::1"):
        assert "1 packets received" in guest.vm.run(
            f"for i in 1 2 3 4 5 6 7 8; do ping -c 1 -W 1 {address} && break; sleep 0.5; done", limit=60)


def measure(guest, cell, run):
    guest.lan.set_link(loss=cell.loss, delay_ms=cell.delay, reorder=cell.reorder, seed=EVERY.index(cell) + 144 * run)
    return [guest.transfer(mode, cell.family) for mode in ("send", "get")]


def measure_all(guests, cell):
    """The runs of a cell, each with every guest's speeds out and in. The guests take turns: one run says little,
    for where losses fall and when the sender leaves slow start decide over a few seconds."""
    runs = []
    while len(runs) < RUNS or (len(runs) < MOST_RUNS and min(ratios_of(medians(runs)), default=GOAL) < GOAL):
        runs.append([measure(guest, cell, len(runs)) for guest in guests])
    return runs


def medians(runs):
    """For each guest the speeds out and in."""
    return [[statistics.median(way) for way in zip(*each)] for each in zip(*runs)]


def ratios_of(speeds):
    """Keel's speed over Linux's out and in, or nothing where Keel is alone."""
    return [ours / theirs for ours, theirs in zip(*speeds)] if len(speeds) == 2 else []


def report(capsys, line):
    with capsys.disabled():
        print("\n" + line, end="", flush=True)
    with open(REPORT, "a", encoding="ascii") as f:
        f.write(line + "\n")


ratios = []


@pytest.mark.parametrize("cell", CELLS, ids=map(name, CELLS))
def test_data_is_exact_both_ways(guests_with, cell, capsys):
    try:
        runs = measure_all(guests_with(cell.nic), cell)
    except BaseException:
        guests_with(None)  # the next cell begins with new ones
        raise
    if not MATRIX:
        return
    speeds = medians(runs)
    line = f"{name(cell):44} {len(runs)} runs"
    for way, each, ratio in itertools.zip_longest(("out", "in"), zip(*speeds), ratios_of(speeds)):
        line += f"  {way} " + " beside ".join(f"{speed / 1e6:8.3f}" for speed in each) + " MB/s"
        if ratio:
            ratios.append(ratio)
            line += f" ratio {ratio:5.2f}"
    report(capsys, line)


@pytest.mark.skipif(not MATRIX, reason="make test-net-matrix")
def test_ratios_in_all(capsys):
    if not ratios:
        pytest.skip("no Linux to compare with: `make bench` fetches it")
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    report(capsys, f"{len(ratios)} ratios: geometric mean {mean:.2f}, least {min(ratios):.2f}, "
           f"{sum(r >= GOAL for r in ratios)} at least {GOAL}, {sum(r < 0.7 for r in ratios)} below 0.7")


def test_both_directions_at_once(initrds):
    with Guest(keel(initrds, "e1000e"), link={"loss": 0.5, "delay-ms": 5}) as guest:
        wait_for_addresses(guest)
        for family in ("v4", "v6"):
            guest.transfer("both", family)


@pytest.mark.parametrize("nic", NICS)
def test_a_transfer_outlives_a_link_that_goes_down(initrds, nic):
    with Guest(keel(initrds, nic), link={"rate-mbps": 20}) as guest:
        wait_for_addresses(guest)
        served = len(lines_of(guest.log))
        guest.vm.run(f"/guest/xfer both 10.77.0.1 {PORT} {5 << 20} 0 >/tmp/out 2>&1 &")
        for _ in range(2):
            time.sleep(0.7)
            for state in ("off", "on"):
                guest.vm.qmp.command("human-monitor-command", **{"command-line": f"set_link n0 {state}"})
                time.sleep(0.7)
        out = guest.vm.run("wait; cat /tmp/out")
        guest.check(out, "both", served)


def test_two_nics_each_with_its_own_lan(initrds):
    with Lan(link={"delay-ms": 10}, v4="10.78.0.1/24", v6="fd78::1/64") as far:
        far_log = far.start(XFER, "serve", str(PORT))
        extra = ("-netdev", far.vm_options["net"] + ",id=n1", "-device", "e1000,netdev=n1,romfile=")
        with Guest(keel(initrds, "virtio", extra=extra), link={"loss": 0.5}) as guest:
            guest.vm.run("ip addr add 10.78.0.2/24 dev eth1; ip addr add fd78::2/64 dev eth1; ip link set eth1 up")
            wait_for_addresses(guest)
            for near_peer, far_peer in (("10.77.0.1", "10.78.0.1"), ("fd77::1", "fd78::1")):
                guest.vm.run(f"/guest/xfer both {far_peer} {PORT} {4 << 20} 0 >/tmp/far 2>&1 &")
                guest.transfer("both", peer=near_peer)
                out = guest.vm.run("wait; cat /tmp/far")
                assert f"sent {4 << 20} received {4 << 20}" in out and "FAIL" not in out, out
        assert len(lines_of(far_log)) == 2 and all(f"received {4 << 20}" in x for x in lines_of(far_log))
