"""The lab itself: a guest's commands, their ends, and that nothing stays behind.

Most tests share one guest; those that break theirs boot their own.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import stat
import struct
import subprocess
import sys
import termios
import time

import pytest

from probee.errors import LabError
from probee.lab import Guest
from probee.lab.cache import guests_dir

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.timeout(180),
    pytest.mark.kernels("6.12"),
    pytest.mark.skipif("LAB" in os.environ, reason="this is a lab guest already"),
]

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(sys.modules[Guest.__module__].__file__)))
CLI = [sys.executable, "-m", "probee.cli.lab"]


def qemus_of(pid: int) -> list[int]:
    """Return the QEMU processes that a process has started and that still run."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
            with open(f"/proc/{name}/cmdline", "rb") as file:
                line = file.read()
        except OSError:
            continue
        if int(fields[1]) == pid and b"qemu" in line and b"-kernel" in line and fields[0] != "Z":
            found.append(int(name))
    return found


def wait_until(condition, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


# Commands and their ends.


def test_a_command_gives_its_status_and_both_outputs(guest):
    result = guest.run("echo out; echo err >&2; exit 7")
    assert (result.status, result.stdout, result.stderr) == (7, "out\n", "err\n")


def test_words_are_not_shell_text(guest):
    assert guest.run(["echo", "$HOME", "a b"]).stdout == "$HOME a b\n"


def test_death_by_signal_is_128_and_its_number(guest):
    assert guest.run("kill -9 $$").status == 137


def test_a_program_that_is_not_there_is_127_and_says_so(guest):
    result = guest.run(["no-such-program"])
    assert result.status == 127 and "no-such-program" in result.stderr


def test_the_guest_is_root_on_the_kernel_asked_for(guest):
    result = guest.run("id -u; uname -r; ls /sys/kernel/btf/vmlinux /sys/kernel/tracing/events /sys/fs/bpf -d").check()
    assert result.stdout.split()[:2] == ["0", guest.version]


def test_the_guest_runs_the_python_of_outside(guest):
    code = "import sys; print(sys.version); import probee.errors"
    result = guest.run([sys.executable, "-c", code], env={"PYTHONPATH": SOURCE}).check()
    assert result.stdout.strip() == sys.version


def test_modules_of_the_guests_kernel_load(guest):
    guest.run("modprobe veth && ip link add lab0 type veth peer name lab1 && ip link del lab0").check()


def test_a_machine_without_kmod_still_loads_modules(guest):
    guest.run("PATH=/run/lab/bin:/usr/bin; modprobe dummy && grep '^dummy ' /proc/modules && rmmod dummy").check()


def test_input_directory_and_variables_pass_through(guest, tmp_path):
    result = guest.run("cat; pwd; echo $NAME", stdin="in\n" * 100_000, cwd="/usr", env={"NAME": "value"})
    assert result.stdout == "in\n" * 100_000 + "/usr\nvalue\n"


def test_a_large_output_arrives_whole(guest):
    result = guest.run("head -c 20000000 /dev/zero; echo end")
    assert len(result.stdout_bytes) == 20_000_004 and result.stdout.endswith("end\n")


def test_time_is_up_is_124_and_the_guest_goes_on(guest):
    started = time.monotonic()
    result = guest.run("trap '' TERM; echo started; while :; do sleep 1; done", timeout_s=1)
    assert result.timed_out and result.status == 124 and result.stdout == "started\n"
    assert time.monotonic() - started < 12
    assert guest.run("true").status == 0


def test_children_left_in_the_background_are_gone_with_their_command(guest):
    guest.run("sleep 1234 & echo started")
    assert guest.run("pgrep -f '^sleep 1234'").stdout == ""


def test_what_the_guest_writes_is_not_written_outside(guest, tmp_path):
    path = tmp_path / "file"
    path.write_text("outside")
    # the guest may have a directory of that name of its own, in which new ones of outside are not seen
    assert guest.run(f"mkdir -p {tmp_path}; echo inside >{path}; cat {path}").stdout == "inside\n"
    assert path.read_text() == "outside"


# Jobs.


def test_a_line_can_be_waited_for_and_ctrl_c_sent(guest):
    with guest.start("trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.1; done") as job:
        job.wait_for("ready", timeout_s=20)
        job.signal(signal.SIGINT)
        job.wait_for("caught", timeout_s=20)
        assert job.wait(timeout_s=20).status == 5


def test_kill_minus_9_reaches_only_the_command_when_asked(guest):
    with guest.start("sh -c 'echo child; sleep 2; echo survived' & wait") as job:
        job.wait_for("child", timeout_s=20)
        assert guest.run(["kill", "-0", str(job.pid)]).status == 0
        job.signal(signal.SIGKILL, group=False)
        assert job.wait(timeout_s=20).status == 137


def test_jobs_run_side_by_side(guest):
    with guest.start("read line; echo got $line", stdin=True) as waiting:
        assert guest.run("echo meanwhile").stdout == "meanwhile\n"
        waiting.write("text\n")
        waiting.wait_for("got text", timeout_s=20)


def test_a_job_on_a_terminal_has_its_size_and_gets_ctrl_c(guest):
    with guest.start(["/bin/sh"], tty=(33, 77), env={"PS1": "$ "}) as job:
        job.write("stty size\n")
        job.wait_for("33 77", timeout_s=20)
        job.resize(44, 88)
        job.write("stty size\n")
        job.wait_for("44 88", timeout_s=20)
        job.write("sleep 1000\n")
        job.wait_for("sleep 1000", timeout_s=20)
        time.sleep(0.3)
        job.write(b"\x03")
        job.write("echo st$((40 + 2))\n")
        job.wait_for("st42", timeout_s=20)
        job.write("exit 3\n")
        assert job.wait(timeout_s=20).status == 3


# Keys, and edits made outside.

COUNT_PRESSES = r"""
import glob, struct, sys
names = {path: open(f"/sys/class/input/{path[11:]}/device/name").read() for path in glob.glob("/dev/input/event*")}
device = open(next(path for path, name in names.items() if name.startswith("AT ")), "rb")
print("ready", flush=True)
wanted = int(sys.argv[1])
while wanted:
    *_, kind, code, value = struct.unpack("qqHHi", device.read(24))
    if kind == 1 and value == 1:
        print("key", code, flush=True)
        wanted -= 1
"""


def test_keys_pressed_from_outside_and_inside_arrive(guest):
    guest.run("modprobe evdev").check()
    with guest.start([os.path.realpath(sys.executable), "-c", COUNT_PRESSES, "4"]) as job:
        job.wait_for("ready", timeout_s=30)
        guest.keys("a b")
        job.wait_for(re.compile("key 30\nkey 48"), timeout_s=20)  # KEY_A and KEY_B of input-event-codes.h
        guest.run("echo 'shift-c' >/run/lab/keys").check()
        job.wait_for(re.compile("key 42\nkey 46"), timeout_s=20)
        assert job.wait(timeout_s=20).status == 0


def test_a_key_that_does_not_exist_is_an_error(guest):
    with pytest.raises(LabError, match="nokey"):
        guest.keys("nokey")
    with pytest.raises(LabError, match="nokey"):
        guest.run("sleep 5", keys="nokey")


def test_edits_outside_are_seen_where_followed_and_the_network_is_up(tmp_path_factory):
    followed, cached = tmp_path_factory.mktemp("followed"), tmp_path_factory.mktemp("cached")
    shared = tmp_path_factory.mktemp("shared")
    for folder in (followed, cached, shared):
        (folder / "file").write_text("old")
    with Guest(follow=[str(followed)], rw=[str(shared)], net=True) as guest:
        guest.run("grep -q ^1 /sys/class/net/eth0/carrier && grep -q 10.0.2.3 /etc/resolv.conf").check()
        show = f"cat {followed}/* {cached}/*"
        assert guest.run(show).stdout == "oldold"
        (followed / "file").write_text("new")
        (followed / "more").write_text("+")
        (cached / "file").write_text("new")
        assert guest.run(show).stdout == "new+old"
        assert guest.run(show, fresh=True).stdout == "new+new"
        (followed / "more").unlink()
        assert guest.run(show).stdout == "newnew"
        (shared / "file").write_text("new")
        assert guest.run(f"cat {shared}/file; echo made >{shared}/made").stdout == "new"
        assert (shared / "made").read_text() == "made\n"


# Its end, whatever it is.


def test_panic_and_hang_are_told_apart_and_leave_no_process():
    with Guest(hang_grace_s=1) as guest:
        qemu = guest.host().pid
        with pytest.raises(LabError, match=r"(?s)the guest died.*sysrq triggered crash"):
            guest.run("echo c >/proc/sysrq-trigger; sleep 10")
        assert not os.path.exists(f"/proc/{qemu}")
        assert guest.run("echo booted again").stdout == "booted again\n"
        machine = guest.host()
        machine.monitor.execute("stop")  # a guest that does not get its CPUs any more
        with pytest.raises(LabError, match="the guest hangs"):
            guest.run("true", timeout_s=1)
        assert not os.path.exists(f"/proc/{machine.pid}")
    assert machine.console.startswith(guests_dir()) and not os.path.exists(machine.console)


def test_a_kernel_that_cannot_boot_fails_with_its_console():
    with pytest.raises(LabError, match=r"(?s)died while booting.*panic"):
        Guest(append="rdinit=/no/such init=/no/such", accel="tcg", boot_timeout_s=60).host()


def test_a_boot_that_takes_too_long_is_given_up():
    with pytest.raises(LabError, match=r"did not boot in 0\.5 s"):
        Guest(accel="tcg", boot_timeout_s=0.5).host()
    assert len(qemus_of(os.getpid())) <= 1  # the shared guest's


def test_a_runner_that_is_killed_takes_its_guest_along():
    code = "from probee.lab import Guest; Guest(accel='tcg').run('sleep 1000')"
    with subprocess.Popen([sys.executable, "-c", code]) as runner:
        try:
            assert wait_until(lambda: bool(qemus_of(runner.pid)))
            (qemu,) = qemus_of(runner.pid)
        finally:
            runner.kill()
        assert wait_until(lambda: not os.path.exists(f"/proc/{qemu}"))


# The command line.


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The socket of a server of its own."""
    path = str(tmp_path_factory.mktemp("server") / "lab.sock")
    with subprocess.Popen([*CLI, "serve", path], stderr=subprocess.PIPE, text=True) as process:
        try:
            said = ""
            while "is up" not in said:
                line = process.stderr.readline()
                assert line, said
                said += line
            yield path
            assert subprocess.run([*CLI, "serve", "--stop", path], check=False).returncode == 0
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()
    assert not os.path.exists(path)


def test_a_server_passes_status_input_and_ctrl_c(server):
    run = [*CLI, "run", "--connect", server, "--"]
    done = subprocess.run([*run, "cat; exit 9"], input="through\n", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (9, "through\n")
    with subprocess.Popen([*run, "echo up; sleep 100"], stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout.readline() == "up\n"
        client.send_signal(signal.SIGINT)
        assert client.wait(timeout=20) == 130
    with Guest(connect=server) as guest:
        assert guest.run("pgrep -f '^sleep 100'").stdout == ""
        with pytest.raises(LabError, match="nokey"):
            guest.keys("nokey")
        with pytest.raises(LabError, match="died"):
            guest.run("echo c >/proc/sysrq-trigger; sleep 10")
        assert guest.run("echo again").stdout == "again\n"


def test_a_shell_is_a_terminal_in_the_guest(server):
    pid, terminal = pty.fork()
    if not pid:
        os.execv(CLI[0], [*CLI, "shell", "--connect", server])
    said = ""

    def type_and_wait(text: str, answer: str) -> None:
        nonlocal said
        os.write(terminal, text.encode())
        end = time.monotonic() + 30
        while not re.search(answer, said) and time.monotonic() < end:
            if select.select([terminal], [], [], 1)[0]:
                said += os.read(terminal, 4096).decode()
        assert re.search(answer, said), said
        said = ""

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 31, 99, 0, 0))
    type_and_wait("", r"lab:\S+[#$] ")
    os.kill(pid, signal.SIGWINCH)
    type_and_wait("stty size; echo $TERM$((1+1))\n", r"31 99\s+\S*2")
    type_and_wait("sleep 1000 && echo no\n", "sleep 1000")
    time.sleep(0.5)
    type_and_wait("\x03", r"\^C")
    type_and_wait("cat /proc/sys/kernel/hostname\n", "lab\r\n")
    os.write(terminal, b"exit 6\n")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 6
    os.close(terminal)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_somebody_without_privileges_boots_and_is_root_inside(tmp_path_factory):
    base = tmp_path_factory.mktemp("nobody")
    for folder in [base, *base.parents[:-1]]:
        os.chmod(folder, os.stat(folder).st_mode | stat.S_IXOTH | stat.S_IROTH)
    cache = base / "cache"
    from probee.lab.cache import cache_dir
    from probee.lab.kernel import DEFAULT, need_kernel

    kernel = need_kernel(DEFAULT, report=print)
    shutil.copytree(os.path.dirname(os.path.dirname(kernel.image)), cache / "probee/lab/kernels" / kernel.version)
    tools = os.path.join(cache_dir(), "tools")
    if os.path.isdir(tools):
        shutil.copytree(tools, cache / "probee/lab/tools", symlinks=True)
    shutil.copytree(os.path.join(SOURCE, "probee"), base / "probee", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {"PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(cache), "TMPDIR": "/tmp", "PYTHONPATH": str(base)}
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-m", "probee.cli.lab", "run",
         "--", "id -u; cat /etc/hostname; cat /etc/shadow; echo; uname -r"],
        env=environment, capture_output=True, text=True, check=False, cwd="/",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == "0" and done.stdout.split()[-1] == kernel.version, done.stderr
    assert "shadow" in done.stderr  # root inside, yet it cannot read what its user cannot
