"""Many idle connections from Linux's stack to a machine of 1 GiB: what each of them costs, with socket
and descriptor. KEEL_CONNS=100000: as many."""
import os
import re
import resource
import subprocess
import time

import pytest

from conftest import KERNEL
from lan import Lan
from vm import TOP, VM

pytestmark = pytest.mark.skipif(not Lan.is_possible(), reason="needs root and /dev/net/tun")

HOLD = f"{TOP}/build/bench/guest/hold"
NUM = int(os.environ.get("KEEL_CONNS", "10000"))
LIMIT = 3 << 10  # bytes each


def shares(total):
    """By processes of the peer, each with a source address: descriptors are limited, and Linux is slow to
    find a port when half of them are taken."""
    most = min(10000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 200)
    return [min(most, total - at) for at in range(0, total, most)]


def test_idle_connections_cost_little(tmp_path):
    (tmp_path / "list").write_text(f"file /bin/hold {HOLD} 755\n")
    subprocess.run([f"{TOP}/scripts/mkcpio", tmp_path / "hold.cpio", tmp_path / "list"], check=True)
    with Lan(v4="10.77.0.1/16", v6=None) as lan, VM(
            boot="pvh", kernel=KERNEL, smp="2", mem="1G", nic="virtio", limit=60 + NUM / 200,
            initrd=[f"{TOP}/build/initrd.cpio.gz", str(tmp_path / "hold.cpio")],
            append="ip=10.77.0.2::10.77.0.1:255.255.0.0:keel:eth0:off", **lan.vm_options) as vm:
        lan.ip("route", "add", "local", "10.77.64.0/24", "dev", "lo")
        vm.prompt()
        vm.run("dmesg -n 1")
        vm.send(f"hold accept 7 {NUM}\n")
        vm.expect("listening")
        peers = [subprocess.Popen(["ip", "netns", "exec", lan.name, HOLD, "connect", "10.77.0.2", "7", str(n),
                                   f"10.77.64.{i + 1}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                 for i, n in enumerate(shares(NUM))]
        try:
            held = vm.expect(r"held (\d+), bytes each (\d+)\n")
            print(f"\n{held[1]} connections, {held[2]} bytes each")
            assert int(held[1]) == NUM and int(held[2]) <= LIMIT
            for peer, n in zip(peers, shares(NUM)):
                assert peer.stdout.readline() == f"made {n}\n"
                peer.stdin.write("\n")
                peer.stdin.flush()
                assert peer.stdout.readline() == f"alive {n}\n"
        finally:
            for peer in peers:
                peer.kill()
                peer.communicate()
        vm.send("\n")
        kept = vm.expect(r"closed, bytes kept of each (-?\d+)\n")
        vm.prompt()
        print(f"{kept[1]} kept of each after the close")
        end = time.monotonic() + 20 + NUM / 1000  # FINs that found the queue full come again
        while (left := int(re.search(r"TCP: inuse (\d+)", vm.run("cat /proc/net/sockstat"))[1])) > 2:
            assert time.monotonic() < end, f"{left} are left: " + vm.run("head -20 /proc/net/tcp")
            time.sleep(1)
