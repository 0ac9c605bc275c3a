"""Busybox at the prompt: what a person types, and what comes back."""
import re


def test_pipeline(shell):
    assert shell.run("ls / | sort | head -3").split() == ["bin", "dev", "etc"]


def test_background_job_and_kill(shell):
    shell.run("sleep 1000 &")
    assert "sleep 1000" in shell.run("jobs")
    shell.run("kill %1; wait")
    assert "sleep 1000" not in shell.run("ps")


def test_ps_shows_init_and_the_shell(shell):
    lines = shell.run("ps").splitlines()
    assert any(re.match(r"\s*1 root .*init", line) for line in lines)
    assert any(re.search(r"-/bin/sh$", line) for line in lines)


def test_free_adds_up(shell):
    numbers = [int(n) for n in re.search(r"Mem:(.*)", shell.run("free")).group(1).split()]
    total, used, free = numbers[:3]
    assert 200_000 < total < 262_144 and used + free <= total


def test_command_substitution_and_arithmetic(shell):
    assert shell.run("echo $((6 * 7)) $(echo nested `echo deep`)").split() == ["42", "nested", "deep"]


def test_files_survive_what_is_done_to_them(shell):
    shell.run("mkdir -p /tmp/t && cd /tmp/t && seq 1 5000 >a && cp a b && mv b c && ln c d && ln -s c e")
    assert shell.run("cmp a e && wc -l <d && stat -c %h c").split() == ["5000", "2"]
    assert shell.run("rm -r /tmp/t; cd; ls /tmp/t 2>&1").endswith("No such file or directory\n")


def test_exit_status_and_signals(shell):
    assert shell.run("false; echo $?; sh -c 'kill -9 $$'; echo $?").split()[0] == "1"
    assert "137" in shell.text[shell.text.rindex("kill -9"):]


def test_ctrl_c_ends_the_foreground_job(shell):
    # Typed only once the shell has given the terminal back: its own line editor takes ^C as a key.
    shell.send("sh -c 'echo go; sleep 1000'\n")
    shell.expect(r"^go\n")
    shell.send("\x03")
    shell.prompt()
    assert "sleep 1000" not in shell.run("ps | grep -v grep")


def test_ctrl_z_stops_and_fg_goes_on(shell):
    shell.send("sh -c 'echo go; exec cat'\n")
    shell.expect(r"^go\n")
    shell.send("\x1a")
    shell.expect("Stopped")
    shell.prompt()
    shell.send("fg\n")
    shell.expect(r"exec cat.\n")
    shell.send("hello\n")
    shell.expect("hello\nhello\n")
    shell.send("\x04")
    shell.prompt()


def test_vi_edits_a_file(shell):
    """Judged by vi's status line and by the file: how vi redraws the text line depends on how the
    keys arrive, one by one or together."""
    shell.send("vi /tmp/v\n")
    shell.expect(r"- /tmp/v 1/1 100%")
    shell.send("ihello from vi")
    shell.expect(r"I /tmp/v 1/1")
    shell.send("\x1b")
    shell.expect(r"- /tmp/v \[Modified\]")
    shell.send(":wq\n")
    shell.prompt()
    assert shell.run("cat /tmp/v") == "hello from vi\n"


def test_top_shows_the_cpu_line(shell):
    out = shell.run("top -b -n 1")
    assert "CPU:" in out and "Mem:" in out


def test_dmesg_begins_with_the_version(shell):
    assert re.search(r"Keel \d", shell.run("dmesg | head -3"))


def test_proc_files_have_linux_shape(shell):
    assert shell.run("grep -c processor /proc/cpuinfo").strip() == "2"
    assert re.match(r"\d+\.\d\d \d+\.\d\d\n", shell.run("cat /proc/uptime"))
    assert re.match(r"(\d+\.\d\d ){3}\d+/\d+ \d+\n", shell.run("cat /proc/loadavg"))
    assert "MemTotal:" in shell.run("cat /proc/meminfo")
    assert re.search(r"^[0-9a-f]+-[0-9a-f]+ r-xp .*/bin/busybox$", shell.run("cat /proc/self/maps"), re.M)


def test_dev_files(shell):
    assert shell.run("head -c 4 /dev/zero | xxd -p").strip() == "00000000"
    assert shell.run("echo x >/dev/full; echo $?").split()[-1] == "1"
    assert shell.run("head -c 16 /dev/urandom | wc -c").strip() == "16"
    assert shell.run("cat /dev/null | wc -c").strip() == "0"
