"""Called as bpftrace: no subcommands, bpftrace's version text, and a process that is found by that name."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from probee.cli.main import main
from probee.cli.options import parse
from probee.cli.run import _command
from probee.cli.title import set_title


def test_the_version_looks_like_bpftraces(capsys):
    assert main(["--version"], name="bpftrace") == 0
    assert capsys.readouterr().out.startswith("bpftrace v0.")


def test_there_are_no_subcommands(capsys):
    assert main(["target"], name="bpftrace") == 1
    assert "failed to open file 'target'" in capsys.readouterr().err


def test_the_usage_says_bpftrace_and_nothing_of_ours(capsys):
    assert main(["-h"], name="bpftrace") == 0
    out = capsys.readouterr().out
    assert "    bpftrace [options] FILE" in out
    assert "probee" not in out
    assert "NAME" not in out


def test_quotes_in_a_command_group_words_but_not_for_bpftrace():
    words = ["-c", "sh -c 'a b'", "-e", "begin {}"]
    assert _command(parse(words)) == ["sh", "-c", "a b"]
    assert _command(parse(words, bpftrace=True)) == ["sh", "-c", "'a", "b'"]


@pytest.fixture
def command(tmp_path):
    """The installed command, as pip writes it, under the name that it is called by."""

    def make(name: str) -> str:
        script = tmp_path / "installed"
        script.write_text(f"#!{sys.executable}\nfrom probee.cli.main import entry\nentry()\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        if not (tmp_path / name).exists():
            (tmp_path / name).symlink_to(script)
        return str(tmp_path / name)

    return make


def test_a_symlink_called_bpftrace_is_bpftrace(command):
    done = subprocess.run([command("bpftrace"), "-V"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("bpftrace v")
    done = subprocess.run([command("probee"), "-V"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("probee v")


def test_the_process_is_found_by_that_name(command):
    waiting = subprocess.Popen([command("bpftrace"), "-q", "-"], stdin=subprocess.PIPE)
    try:
        for _ in range(200):
            with open(f"/proc/{waiting.pid}/comm") as comm, open(f"/proc/{waiting.pid}/cmdline", "rb") as line:
                name, words = comm.read(), line.read()
            if words.startswith(b"bpftrace\0"):
                break
            os.sched_yield()
            subprocess.run(["sleep", "0.02"], check=True)
        assert name == "bpftrace\n"
        assert words.rstrip(b"\0").split(b"\0") == [b"bpftrace", b"-q", b"-"]
    finally:
        assert waiting.stdin is not None
        waiting.stdin.close()
        waiting.wait()


def test_a_title_that_has_no_room_is_cut():
    show = "print(open('/proc/self/cmdline').read())"
    program = f"from probee.cli.title import set_title; set_title('name', ['x' * 5000]); {show}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("name\0xxxx")


def test_names_that_cannot_be_set_are_no_error(monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(1, "not here")

    monkeypatch.setattr("builtins.open", refuse)
    set_title("x", [])


@pytest.mark.parametrize("line", ["#!/usr/bin/env probee", "#!/usr/bin/env -S probee --mode codegen"])
def test_a_script_can_be_started_by_its_first_line(command, tmp_path, line):
    environment = {**os.environ, "PATH": f"{os.path.dirname(command('probee'))}:{os.environ['PATH']}"}
    script = tmp_path / "hello.bt"
    script.write_text(f"{line}\nbegin {{ nonsense($1) }}\n")
    script.chmod(0o755)
    done = subprocess.run([str(script), "5"], capture_output=True, text=True, env=environment, check=False)
    assert f"{script}:2:9-" in done.stderr
    assert done.returncode == 1
