"""Who may, who may not, and what the message tells to type."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest

from probee.kernel.syscalls import capability

ALL = "000001ffffffffff"
ONLY_SYS_ADMIN = f"{1 << 21:016x}"


def as_process(monkeypatch: pytest.MonkeyPatch, capabilities: str, **status: str) -> None:
    fields = {"CapEff": capabilities, **status}
    monkeypatch.setattr(capability, "status", lambda field: fields.get(field, ""))


def with_files(monkeypatch: pytest.MonkeyPatch, **files: str) -> None:
    contents = {"uid_map": "0 0 4294967295", **files}
    monkeypatch.setattr(capability, "read_text", lambda path: contents.get(path.rpartition("/")[2], ""))


def message(needed: tuple[str, ...] = capability.NEEDED) -> str:
    return str(capability.permission_missing(errno.EPERM, "create a map", needed))


def test_sys_admin_stands_in_for_bpf_and_perfmon_only(monkeypatch: pytest.MonkeyPatch) -> None:
    as_process(monkeypatch, ONLY_SYS_ADMIN)
    assert [capability.has_capability(name) for name in ("CAP_BPF", "CAP_PERFMON", "CAP_SYS_ADMIN")] == [True] * 3
    assert not capability.has_capability("CAP_NET_ADMIN")


def test_missing_capabilities_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    as_process(monkeypatch, f"{1 << 39:016x}")
    assert "this needs CAP_PERFMON, which this process does not have" in message()
    as_process(monkeypatch, "0")
    assert "this needs CAP_BPF and CAP_PERFMON, which this process does not have" in message()


def test_a_locked_down_kernel_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    as_process(monkeypatch, ALL)
    with_files(monkeypatch, lockdown="none integrity [confidentiality]")
    assert "the kernel is locked down (confidentiality)" in message()


def test_a_containers_filter_is_suspected(monkeypatch: pytest.MonkeyPatch) -> None:
    as_process(monkeypatch, ALL, Seccomp="2")
    with_files(monkeypatch, lockdown="[none] integrity")
    assert "a seccomp filter (a container's?) forbids it" in message()


def test_a_user_namespace_is_suspected(monkeypatch: pytest.MonkeyPatch) -> None:
    as_process(monkeypatch, ALL)
    with_files(monkeypatch, uid_map="0 1000 1")
    assert "in a user namespace" in message()


@pytest.mark.parametrize(
    ("argv", "original", "sudo", "lab"),
    [
        (["/venv/bin/probee", "-e", "BEGIN { exit() }"], ["python", "/venv/bin/probee", "-e", "BEGIN { exit() }"],
         "-m probee -e 'BEGIN { exit() }'", "probee -e 'BEGIN { exit() }'"),
        (["/venv/lib/probee/__main__.py", "x.bt"], ["python", "-m", "probee", "x.bt"], "-m probee x.bt", None),
        (["tool.py", "a b"], ["python", "-W", "error", "tool.py", "a b"], "-W error tool.py 'a b'", None),
    ],
)  # fmt: skip
def test_the_command_to_type_is_this_one_with_an_absolute_interpreter(
    monkeypatch: pytest.MonkeyPatch, argv: list[str], original: list[str], sudo: str, lab: str | None
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", original)
    monkeypatch.setattr(sys, "executable", "/venv/bin/python")
    assert capability.sudo_command() == f"sudo /venv/bin/python {sudo}"
    monkeypatch.setenv("PATH", "/usr/bin:/venv/bin")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    probee = "probee" if argv[0] == "/venv/bin/probee" else "/venv/bin/python -m probee"
    assert capability.remedy().endswith(f"   {probee} lab run -- {lab or '/venv/bin/python ' + sudo}")


def test_a_command_that_is_not_in_path_is_called_by_its_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/venv/bin/probee", "x.bt"])
    monkeypatch.setattr(sys, "executable", "/venv/bin/python")
    monkeypatch.setenv("PATH", "/usr/bin")
    assert capability.lab_command() == "/venv/bin/python -m probee lab run -- /venv/bin/python -m probee x.bt"


def test_sudo_is_told_where_the_package_is_when_only_pythonpath_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    source = str(Path(capability.__file__).resolve().parents[3])
    monkeypatch.setattr(sys, "argv", ["/venv/bin/probee", "x.bt"])
    monkeypatch.setattr(sys, "executable", "/venv/bin/python")
    monkeypatch.setenv("PYTHONPATH", f"/elsewhere:{source}")
    assert capability.sudo_command() == f"sudo env PYTHONPATH={source} /venv/bin/python -m probee x.bt"


def test_what_only_root_may_read_comes_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    first, second, third = str(capability.root_only(errno.EACCES, "open", "this is hidden")).splitlines()
    assert first == "this is hidden"
    assert "sudo " in second
    assert " lab run -- " in third


def test_fields_of_status_are_read() -> None:
    assert int(capability.status("CapEff"), 16) >= 0
    assert capability.status("NoSuchField") == ""
