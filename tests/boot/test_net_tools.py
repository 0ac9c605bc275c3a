"""What people type on a network: busybox's tools, unchanged, on both families, against dnsmasq and
busybox httpd on Linux's stack; and the page that Keel serves by itself, also as `make run` shows it."""
import hashlib
import os
import re
import subprocess
import time

import pytest
from conftest import DEBUG_KERNEL
from lan import Lan
from vm import TOP, VM

INITRD = f"{TOP}/build/initrd.cpio.gz"


@pytest.fixture(scope="module", params=["e1000", "e1000e", "virtio"])
def net(request):
    """A machine that configured itself; (vm, lan, md5 of the file that the peer serves)."""
    if not Lan.is_possible():
        pytest.skip("name spaces need root")
    with Lan() as lan:
        lan.dnsmasq("--dhcp-range=10.77.0.50,10.77.0.60,1h", "--dhcp-range=fd77::,slaac,64,1h", "--enable-ra",
                    "--local=/keel.test/", "--domain=keel.test", "--host-record=v4.keel.test,10.77.0.1",
                    "--host-record=v6.keel.test,fd77::1")
        www = f"{lan.work.name}/www"
        os.mkdir(www)
        data = os.urandom(1 << 20) * 4
        with open(f"{www}/file", "wb") as f:
            f.write(data)
        lan.start("busybox", "httpd", "-f", "-p", "80", "-h", www)
        with VM(boot="pvh", kernel=DEBUG_KERNEL, smp="2", mem="256M", nic=request.param, initrd=[INITRD],
                limit=60, **lan.vm_options) as vm:
            vm.prompt()
            vm.run("dmesg -n 1")
            end = time.monotonic() + 60
            while time.monotonic() < end:
                out = vm.run("ip addr show dev eth0; ip route; cat /etc/resolv.conf")
                if "default via 10.77.0.1" in out and re.search(r"inet6 fd77::\S+ scope global dynamic", out) \
                        and "nameserver" in out:
                    break
            else:
                raise AssertionError(f"not configured:\n{out}")
            yield vm, lan, hashlib.md5(data).hexdigest()


TOOLS = {
    "ip_a": ("ip a", r"inet 10\.77\.0\.\d+/24 brd 10\.77\.0\.255 scope global"),
    "ip_route": ("ip route", r"default via 10\.77\.0\.1 dev eth0"),
    "ip_6_route": ("ip -6 route", r"fd77::/64 dev eth0"),
    "ifconfig": ("ifconfig eth0", r"UP BROADCAST RUNNING MULTICAST +MTU:1500"),
    "route": ("route -n", r"0\.0\.0\.0 +10\.77\.0\.1"),
    "nslookup": ("nslookup v4.keel.test", r"Address: 10\.77\.0\.1"),
    "nslookup_v6": ("nslookup v6.keel.test", r"Address: fd77::1"),
    "ping": ("ping -c 2 v4.keel.test", r"2 packets received, 0% packet loss"),
    "ping6": ("ping6 -c 2 v6.keel.test", r"2 packets received, 0% packet loss"),
    "ping_fragmented": ("ping -c 2 -s 4000 10.77.0.1", r"2 packets received, 0% packet loss"),
    "ping6_fragmented": ("ping6 -c 2 -s 4000 fd77::1", r"2 packets received, 0% packet loss"),
    "traceroute": ("traceroute -n v4.keel.test", r"1 +10\.77\.0\.1 +[\d.]+ ms"),
    "traceroute6": ("traceroute6 -n v6.keel.test", r"1 +fd77::1 +[\d.]+ ms"),
    "wget": ("wget -q -O - http://v4.keel.test/file | md5sum", "MD5"),
    "wget_v6": ("wget -q -O - http://v6.keel.test/file | md5sum", "MD5"),
    "nc": (r"printf 'GET /none HTTP/1.0\r\n\r\n' | nc -w 3 10.77.0.1 80", r"404 Not Found"),
    "nc_v6": (r"printf 'GET /none HTTP/1.0\r\n\r\n' | nc -w 3 fd77::1 80", r"404 Not Found"),
    "arping": ("arping -c 1 -I eth0 10.77.0.1", r"Received 1 response"),
    "udhcpc": ("udhcpc -i eth0 -n -q -s /bin/true", r"lease of 10\.77\.0\.\d+ obtained"),
    "netstat": ("netstat -tln", r"tcp +0 +0 :::80 +:::\* +LISTEN"),
    "ip_neigh": ("ip neigh", r"10\.77\.0\.1 dev eth0 lladdr"),
}


@pytest.mark.parametrize("name", TOOLS)
def test_tool(net, name):
    vm, _, md5 = net
    command, wanted = TOOLS[name]
    out = vm.run(command + " 2>&1")
    assert re.search(md5 if wanted == "MD5" else wanted, out), out


@pytest.mark.parametrize("family", ["4", "6"])
def test_page_is_served(net, family):
    vm, lan, _ = net
    out = vm.run(f"ip -{family} -o addr show dev eth0 scope global")
    own = re.search(r"inet6? ([0-9a-f.:]+)/", out).group(1)
    host = own if family == "4" else f"[{own}]"
    assert "Keel serves this page" in lan.run("curl", "-s", "--max-time", "10", f"http://{host}/")


def test_run_says_the_url():
    """As a user starts it, through firmware: the URL comes on standard error and works."""
    run = subprocess.Popen([f"{TOP}/scripts/qemu", "--timeout", "90"], stdin=subprocess.PIPE,
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        url = None
        for line in run.stderr:
            m = re.search(r"web server: (http://\S+)", line)
            if m:
                url = m.group(1)
                break
        assert url, "no URL"
        page = subprocess.run(["curl", "-s", "--noproxy", "*", url], capture_output=True, text=True).stdout
        assert "Keel serves this page" in page
    finally:
        run.terminate()
        run.wait(10)
        run.stderr.close()
        run.stdin.close()
