"""`probee lab`'s command line: what it refuses, and how."""

from __future__ import annotations

import pytest

from probee.cli import lab


def refused(capsys, *argv: str) -> str:
    with pytest.raises(SystemExit) as caught:
        lab.main(list(argv))
    assert caught.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ((), "SUBCOMMAND"),
        (("fly",), "invalid choice"),
        (("run", "--timeout", "soon", "--", "true"), "soon"),
        (("run", "--timeout", "-1", "--", "true"), "-1"),
        (("run", "--env", "NAME", "--", "true"), "NAME=VALUE"),
        (("run", "--memory", "lots", "--", "true"), "512M"),
        (("run", "--accel", "magic", "--", "true"), "kvm"),
        (("serve",), "SOCKET"),
    ],
)
def test_bad_arguments_are_refused_with_usage(capsys, argv, says):
    assert says in refused(capsys, *argv)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("run",), "no command given"),
        (("run", "--"), "no command given"),
        (("run", "--rw", "/no/such/dir", "--", "true"), "/no/such/dir is not a directory"),
        (("run", "--connect", "/no/such/socket", "--", "true"), "no lab server at /no/such/socket"),
        (("serve", "--stop", "/no/such/socket"), "no lab server"),
        (("kernels", "--get", "nonsense"), "name a version"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_no_traceback(capsys, argv, says):
    assert lab.main(list(argv)) != 0
    said = capsys.readouterr().err
    assert says in said and "Traceback" not in said


def test_a_missing_qemu_is_said_with_what_to_do(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("PROBEE_LAB_QEMU", raising=False)
    assert lab.main(["run", "--", "true"]) == 125
    assert "QEMU is missing: run `probee lab setup`" in capsys.readouterr().err


def test_options_behind_the_command_are_the_commands(monkeypatch):
    options = lab._parser().parse_args(["run", "--kernel", "5.10", "--", "ls", "--kernel", "-l"])
    assert options.kernel == "5.10" and options.command[-3:] == ["ls", "--kernel", "-l"]


def test_cached_kernels_are_listed_without_a_mirror(capsys, monkeypatch, tmp_path):
    boot = tmp_path / "probee/lab/kernels/6.1.0-5-amd64/boot"
    boot.mkdir(parents=True)
    (boot / "vmlinuz-6.1.0-5-amd64").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert lab.main(["kernels", "--cached"]) == 0
    assert "6.1.0-5-amd64" in capsys.readouterr().out
