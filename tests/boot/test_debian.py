"""Debian's own programs, unchanged and dynamically linked, from a file system of scripts/make-rootfs.

The oracle is the host's Linux: each line of debian.commands runs there in the same file system
(chroot), and must print the same on Keel. `make test` runs a sample of the lines; `make test-debian`
(KEEL_DEBIAN=whole) all of them, and the servers and tools on a larger file system."""
import base64
import concurrent.futures
import gzip
import hashlib
import os
import re
import select
import socket
import subprocess
import urllib.request

import pytest
from conftest import DEBUG_KERNEL, KERNEL
from lan import Lan
from vm import TOP, VM

IS_WHOLE = os.environ.get("KEEL_DEBIAN") == "whole"
LINES = [line for line in open(f"{TOP}/tests/boot/debian.commands", encoding="ascii").read().splitlines()
         if line and not line.startswith("#")]
COMMANDS = LINES if IS_WHOLE else LINES[::3]
SMALL = ["gawk", "perl-base", "python3", "sqlite3"]
LARGE = SMALL + ["ca-certificates", "curl", "gcc", "gdb", "iperf3", "iproute2", "iputils-ping", "less",
                 "libc6-dev", "libpython3.11-testsuite", "nginx-light", "openssh-client",
                 "openssh-server", "openssl", "psmisc", "redis-server", "redis-tools", "strace", "tcc",
                 "tcpdump", "tmux"]
needs_whole = pytest.mark.skipif(not IS_WHOLE, reason="only in make test-debian")

RUN_LINE = """cd $(mktemp -d) && exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
bash -c "$1" 2>&1 </dev/null"""


def make_rootfs(name, packages):
    """The archive and the tree; skipped where packages cannot be had."""
    out = f"{TOP}/build/rootfs/{name}.cpio"
    p = subprocess.run([f"{TOP}/scripts/make-rootfs", "-o", out, *packages], capture_output=True, text=True)
    if p.returncode:
        pytest.skip(f"no Debian packages: {p.stderr[-300:]}")
    return out, out.replace(".cpio", ".root")


@pytest.fixture(scope="module")
def small():
    return make_rootfs("small", SMALL)


@pytest.fixture(scope="module")
def on_linux(small, tmp_path_factory):
    """What each line prints on the host, in the same file system under mounts of its own."""
    work = tmp_path_factory.mktemp("debian")
    (work / "run").write_text(RUN_LINE)
    script = (f"cd {small[1]} && for d in proc dev; do mount --rbind /$d $d; done && mount -t tmpfs none tmp"
              f" && mount -t tmpfs none run && exec chroot . bash -c \"$(cat {work}/run)\" line \"$1\"")

    def run(line):
        p = subprocess.run(["unshare", "-Urm", "bash", "-c", script, "line", line], text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        return p.stdout

    if run("echo works") != "works\n":
        pytest.skip("no name spaces here to run programs in another file system")
    return run


@pytest.fixture(scope="module")
def keel(small, tmp_path_factory):
    work = tmp_path_factory.mktemp("keel")
    (work / "line").write_text(RUN_LINE)
    (work / "list").write_text(f"file /line {work}/line 0755\n")
    subprocess.run([f"{TOP}/scripts/mkcpio", work / "line.cpio", work / "list"], check=True)
    with VM(boot="pvh", kernel=DEBUG_KERNEL, smp="2", mem="1G", initrd=[small[0], str(work / "line.cpio")],
            limit=120) as vm:
        vm.prompt()
        vm.run("bind 'set enable-bracketed-paste off'; dmesg -n 1")
        yield vm


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


@pytest.mark.parametrize("line", COMMANDS, ids=range(len(COMMANDS)))
def test_says_what_linux_says(keel, on_linux, line):
    wanted = on_linux(line)
    assert keel.run(f"bash /line {quoted(line)}", limit=60) == wanted


# ---- Debuggers, on a program that dies

CRASH = """
#include <pthread.h>
#include <unistd.h>
static volatile int is_waiting;
static void *waiter(void *arg) { is_waiting = 1; for (;;) pause(); return arg; }
static __attribute__((noinline)) int deepest(int *p) { return *p = 1; }
static __attribute__((noinline)) int middle(int n) { return deepest((int *)(long)n) + n; }
int main(void) {
	pthread_t t;
	if (pthread_create(&t, 0, waiter, 0)) return 1;
	while (!is_waiting) usleep(1000);
	return middle(7);
}
"""
READ_CORE = ("gdb -batch -nx -ex 'set width 0' {} -ex bt -ex 'info threads' -ex 'info registers rip' -ex 'info auxv'"
             " -ex 'thread apply all bt' {} {} 2>&1")


@pytest.fixture(scope="module")
def debuggers(tmp_path_factory):
    """gdb, strace and the program, which is also in `vm.crash`; the file system is in `vm.root`."""
    rootfs, root = make_rootfs("debuggers", ["gdb", "strace"])
    work = tmp_path_factory.mktemp("debuggers")
    (work / "crash.c").write_text(CRASH)
    subprocess.run(["gcc", "-g", "-O1", "-pthread", "-o", work / "crash", work / "crash.c"], check=True)
    (work / "list").write_text(f"file /crash {work}/crash 0755\n")
    subprocess.run([f"{TOP}/scripts/mkcpio", work / "more.cpio", work / "list"], check=True)
    with VM(boot="pvh", kernel=DEBUG_KERNEL, smp="2", mem="1G", initrd=[rootfs, str(work / "more.cpio")],
            limit=120) as vm:
        vm.prompt()
        vm.run("bind 'set enable-bracketed-paste off'; dmesg -n 1; cd /tmp; ulimit -c unlimited")
        vm.crash, vm.root, vm.work = str(work / "crash"), root, work
        yield vm


def frames(text):
    """The functions of the last backtrace, without addresses."""
    return re.findall(r"^#\d+ +(?:0x[0-9a-f]+ in )?(\w+)", text, re.M)[-3:]


def check_core(text):
    assert "terminated with signal SIGSEGV" in text, text
    assert frames(text) == ["deepest", "middle", "main"], text
    assert "=0x7) at" in text and "=7) at" in text, text
    assert len(re.findall(r"^[* ] +\d+ +Thread", text, re.M)) == 2, text
    assert re.search(r"^rip +0x[0-9a-f]+ +0x[0-9a-f]+ <deepest", text, re.M), text
    assert re.search(r"AT_PAGESZ .*4096", text) and re.search(r"AT_EXECFN .*/crash", text), text
    assert "in pause ()" in text and "in waiter (" in text and "not read" not in text, text
    assert "Failed" not in text, text


def test_gdb_reads_a_core_file_there_and_here(debuggers):
    vm = debuggers
    assert "core dumped" in vm.run("bash -c '/crash; echo status $?' 2>&1; ls -l core")
    check_core(vm.run(READ_CORE.format("", "/crash", "core"), limit=120))
    packed = vm.run("busybox gzip -c core | base64", limit=60)
    with open(vm.work / "core", "wb") as f:
        f.write(gzip.decompress(base64.b64decode(packed)))
    here = subprocess.run(READ_CORE.format(f"-ex 'set sysroot {vm.root}' -ex 'core-file core'", vm.crash, ""),
                          shell=True, cwd=vm.work, capture_output=True, text=True, timeout=120).stdout
    assert frames(here) == ["deepest", "middle", "main"], here


def test_gdb_runs_a_program_of_two_threads(debuggers):
    out = debuggers.run("gdb -batch -nx -ex 'break deepest' -ex run -ex bt -ex 'info threads' -ex 'print *&is_waiting'"
                        " -ex 'watch is_waiting' -ex stepi -ex continue -ex 'info registers rip' /crash 2>&1",
                        limit=120)
    assert frames(out) == ["deepest", "middle", "main"], out
    assert "$1 = 1" in out and "atchpoint 2: is_waiting" in out, out
    assert "received signal SIGSEGV" in out and len(re.findall(r"^[* ] +\d+ +Thread", out, re.M)) == 2, out


def test_strace_follows_threads_to_their_end(debuggers):
    out = debuggers.run("strace -f -o st /crash; grep -c . st; cat st", limit=60)
    assert re.search(r"clone3?\(.*CLONE_THREAD", out), out
    assert re.search(r"pause\(", out), out
    assert "--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x7} ---" in out, out
    assert len(re.findall(r"\+\+\+ killed by SIGSEGV \(core dumped\) \+\+\+", out)) == 2, out


# ---- Python's own tests, whose outcomes on Linux are known (tests/oracle/python)

SAMPLE = ["test_epoll", "test_fcntl", "test_mmap", "test_poll", "test_select"]


@pytest.mark.parametrize("modules", [[]] if IS_WHOLE else [SAMPLE], ids=["whole" if IS_WHOLE else "sample"])
def test_python_passes_its_own_tests(modules):
    make_rootfs("python", ["python3", "libpython3.11-testsuite"])  # or skipped
    p = subprocess.run([f"{TOP}/tests/oracle/python", *modules], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=3000)
    assert p.returncode == 0, p.stdout


# ---- Servers and tools (make test-debian)

KEYS = """for f in /root/.ssh /run/sshd; do mkdir -p $f; chmod 700 $f; done; ssh-keygen -q -A;
mv /id.pub /root/.ssh/authorized_keys; chmod 600 /root/.ssh/authorized_keys; /usr/sbin/sshd"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The large file system on the release kernel; ports of the host lead to its servers."""
    rootfs = make_rootfs("large", LARGE)[0]
    work = tmp_path_factory.mktemp("server")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", work / "id"], check=True)
    (work / "keys").write_text(KEYS)
    (work / "list").write_text(f"file /id.pub {work}/id.pub 0644\nfile /keys {work}/keys 0755\n")
    subprocess.run([f"{TOP}/scripts/mkcpio", work / "more.cpio", work / "list"], check=True)
    ports = {guest: free_port() for guest in (22, 80, 6379)}
    with VM(boot="pvh", kernel=KERNEL, smp="2", mem="3G", initrd=[rootfs, str(work / "more.cpio")],
            nic="virtio", hostfwd=[f"tcp:127.0.0.1:{h}-:{g}" for g, h in ports.items()], limit=120) as vm:
        vm.prompt()
        vm.run("bind 'set enable-bracketed-paste off'; dmesg -n 1")
        vm.ports, vm.work = ports, work
        yield vm


@needs_whole
def test_ssh_login_from_the_host(server):
    server.run("sh /keys")
    ssh = ["ssh", "-i", str(server.work / "id"), "-p", str(server.ports[22]), "-o", "LogLevel=ERROR",
           "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "root@127.0.0.1"]
    data = os.urandom(1 << 20)
    out = subprocess.run([*ssh, "sha256sum"], input=data, capture_output=True, timeout=60, check=True).stdout
    assert out.split()[0].decode() == hashlib.sha256(data).hexdigest()
    out = subprocess.run([ssh[0], "-tt", *ssh[1:], "tty; test -t 0 && echo terminal"], capture_output=True,
                         text=True, timeout=60, stdin=subprocess.DEVNULL).stdout
    assert re.fullmatch(r"/dev/pts/\d+\nterminal\n", out)


@needs_whole
def test_redis_answers_by_both_families(server):
    server.run("redis-server --daemonize yes --bind 0.0.0.0 --protected-mode no --save '' --unixsocket /tmp/r")
    server.run("until redis-cli ping; do sleep 0.2; done", limit=60)
    for where in ("-s /tmp/r", "-p 6379"):
        out = server.run(f"redis-benchmark {where} -n 2000 -t set,get,lpush --csv", limit=200)
        assert len(re.findall(r'^"(SET|GET|LPUSH)","\d', out, re.M)) == 3
    with socket.create_connection(("127.0.0.1", server.ports[6379]), timeout=20) as s:
        s.sendall(b"SET k v\r\nGET k\r\n")
        s.settimeout(20)
        assert s.recv(5) == b"+OK\r\n"


@needs_whole
def test_nginx_serves_files(server):
    server.run("head -c 3000000 /dev/urandom > /var/www/html/big; nginx")
    wanted = server.run("sha256sum < /var/www/html/big").split()[0]
    url = f"http://127.0.0.1:{server.ports[80]}/big"
    for _ in range(5):
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=30) as r:
            assert hashlib.sha256(r.read()).hexdigest() == wanted


@needs_whole
@pytest.mark.parametrize("command, wanted", [
    ("printf 'int puts();int main(){puts(\"built\");}' > /tmp/h.c; gcc -w -o /tmp/h /tmp/h.c && /tmp/h", "built"),
    ("tcc -run /tmp/h.c 2>&1", "built"),
    ("strace -o /tmp/st sh -c 'echo x'; tail -1 /tmp/st", r"\+\+\+ exited with 0 \+\+\+"),
    ("gdb -batch -ex 'break main' -ex run -ex bt -ex continue /tmp/h 2>&1", r"#0 .* main"),
    ("tmux new -d 'sleep 50'; sleep 1; tmux ls; tmux send-keys -t 0 C-c", "1 windows"),
    ("ping -c 2 -i 0.2 127.0.0.1", "2 received, 0% packet loss"),
    ("(timeout 20 tcpdump -ni lo -c 2 icmp & sleep 1; ping -c 1 ::1 127.0.0.1 >/dev/null 2>&1;"
     " ping -c 2 127.0.0.1 >/dev/null; wait) 2>&1", "2 packets captured"),
    ("ss -ltn; ip -br addr", r"lo +UNKNOWN +127.0.0.1/8"),
    ("(iperf3 -s -1 >/dev/null &); sleep 1; iperf3 -c 127.0.0.1 -t 1", "iperf Done"),
    ("openssl req -x509 -newkey rsa:2048 -nodes -keyout /tmp/k -out /tmp/c -subj /CN=localhost 2>/dev/null;"
     " (cd /; timeout 20 openssl s_server -quiet -WWW -accept 4433 -key /tmp/k -cert /tmp/c &) 2>/dev/null;"
     " sleep 2; curl -s --cacert /tmp/c https://localhost:4433/etc/hostname", "keel"),
])
def test_tool_works(server, command, wanted):
    assert re.search(wanted, server.run(command, limit=90))


@needs_whole
def test_redis_serves_two_hundred_clients_at_once(tmp_path_factory):
    """By a link of its own: QEMU's user network takes one new connection at a time (a backlog of 1)."""
    if not Lan.is_possible():
        pytest.skip("needs root and /dev/net/tun")
    rootfs = make_rootfs("redis", ["redis-server", "redis-tools"])[0]
    with Lan() as lan, VM(boot="pvh", kernel=DEBUG_KERNEL, smp="2", mem="1G", initrd=[rootfs], nic="virtio",
                          limit=120, **lan.vm_options) as vm:
        vm.prompt()
        vm.run("bind 'set enable-bracketed-paste off'; dmesg -n 1; ip=busybox\\ ip")
        vm.run("$ip link set eth0 up; $ip addr add 10.77.0.2/24 dev eth0")
        vm.run("redis-server --daemonize yes --bind 0.0.0.0 --protected-mode no --save ''")
        vm.run("until redis-cli ping; do sleep 0.2; done", limit=60)
        clients = [lan.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(200)]
        for s in clients:
            s.setblocking(False)
            s.connect_ex(("10.77.0.2", 6379))
        for s in clients:
            assert select.select([], [s], [], 60)[1] and s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
            s.settimeout(60)
            s.sendall(b"INCR n\r\n" * 10)
        for s in clients:
            answer = b""
            while answer.count(b"\n") < 10:
                answer += s.recv(4096)
            assert re.fullmatch(rb"(:\d+\r\n){10}", answer)
            s.close()
        assert vm.run("redis-cli get n") == '"2000"\n'


# ---- Static binaries of other languages (make test-debian)

@pytest.fixture(scope="module")
def web(tmp_path_factory):
    """tests/servers, built by Debian's compilers on the host, on the debug kernel with four CPUs: ports."""
    work = tmp_path_factory.mktemp("web")
    env = {**os.environ, "CGO_ENABLED": "0", "GO111MODULE": "off", "GOFLAGS": "-mod=mod", "GOPATH": str(work),
           "GOCACHE": f"{work}/cache"}
    for command in (["/usr/bin/go", "build", "-o", f"{work}/web-go", f"{TOP}/tests/servers/web.go"],
                    ["/usr/bin/rustc", "-O", "-C", "target-feature=+crt-static", "-o", f"{work}/web-rust",
                     f"{TOP}/tests/servers/web.rs"]):
        if not os.path.exists(command[0]):
            pytest.skip(f"no {command[0]}: scripts/setup whole")
        subprocess.run(command, env=env, cwd=work, check=True)
    (work / "list").write_text("".join(f"file /{p} {work}/{p} 0755\n" for p in ("web-go", "web-rust")))
    subprocess.run([f"{TOP}/scripts/mkcpio", work / "web.cpio", work / "list"], check=True)
    ports = {"go": free_port(), "rust": free_port()}
    with VM(boot="pvh", kernel=DEBUG_KERNEL, smp="4", mem="1G", nic="virtio", limit=120,
            initrd=[f"{TOP}/build/initrd.cpio.gz", str(work / "web.cpio")],
            hostfwd=[f"tcp:127.0.0.1:{ports['go']}-:8001", f"tcp:127.0.0.1:{ports['rust']}-:8002"]) as vm:
        vm.prompt()
        vm.run("dmesg -n 1; /web-go & /web-rust & until netstat -ltn | grep -c :800 | grep -q 2; do sleep 0.2; done")
        yield vm, ports, work


def fetch(port, path):
    return subprocess.run(["curl", "-sS", "--noproxy", "*", "-m", "120", f"http://127.0.0.1:{port}{path}"],
                          capture_output=True, check=True).stdout


@needs_whole
@pytest.mark.parametrize("language, n, requests", [("go", 500, 24), ("rust", 50, 8)])
def test_static_server_works_on_all_cpus(web, language, n, requests):
    """Eight requests at once, each of `n` goroutines or threads."""
    vm, ports, work = web
    assert fetch(ports[language], "/") == f"hello from {language}\n".encode()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: fetch(ports[language], f"/work?n={n}"), range(requests)))
    assert {int(x) for answer in answers for x in answer.split()} == {2262 * n}
    stats = fetch(ports[language], "/stats").split()
    assert stats[0] == b"4"
    if language == "go":
        assert int(stats[1]) > 10  # collections of garbage
        assert fetch(ports["go"], "/file") == (work / "web-go").read_bytes()
    assert vm.run("echo alive") == "alive\n"
