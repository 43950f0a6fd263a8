"""docs/errors.md shows what is printed: every command in it is run again, for the kernel of target_fixture.py.

`python tests/unit/cli/test_errors_document.py` writes the document anew from its commands.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
from probee.cli.main import main
from target_fixture import encode_image, target_image

DOCUMENT = Path(__file__).parents[3] / "docs" / "errors.md"
WITHOUT_ROOT = "probee -e 'begin { print(1); }'"


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield (command, what the document says is printed)."""
    for part in text.split("```console\n")[1:]:
        command, _, printed = part.partition("\n```")[0].partition("\n")
        yield command.removeprefix("$ "), f"{printed}\n"


def printed_by(command: str, target: str) -> str:
    """Return what a command prints, compiled for a target and never run."""
    words = shlex.split(command)[1:]
    if command == WITHOUT_ROOT:
        return printed_without_root(words)
    return captured(["--target", target, "--mode", "codegen", *words])


def captured(words: list[str]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        assert main(words) == 1
    return out.getvalue()


def printed_without_root(words: list[str]) -> str:
    """A user whom the kernel lets do nothing."""
    from probee.kernel.features import feature
    from probee.kernel.syscalls import capability

    def refuse(name: str) -> bool:
        raise capability.permission_missing(1, "ask the kernel for its features")

    with (
        mock.patch.object(feature, "_attempt", refuse),
        mock.patch.object(feature, "_answers", {}),
        mock.patch.object(capability, "has_capability", lambda name: False),
        mock.patch.object(capability, "_called_by_name", lambda: True),
        mock.patch.object(sys, "argv", ["/usr/bin/probee", *words]),
        mock.patch.object(sys, "executable", "/usr/bin/python3"),
        mock.patch.dict(os.environ, {"XDG_CACHE_HOME": tempfile.mkdtemp()}),
    ):
        os.environ.pop("PYTHONPATH", None)
        return captured(words)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("kernel") / "fixture.target"
    path.write_bytes(encode_image(target_image()))
    return str(path)


@pytest.mark.parametrize("command, printed", list(blocks(DOCUMENT.read_text())))
def test_a_command_prints_what_the_document_says(
    command: str, printed: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert printed_by(command, target) == printed


def test_there_are_at_least_thirty() -> None:
    assert len(list(blocks(DOCUMENT.read_text()))) >= 30


def write() -> None:
    """Write the document anew."""
    with tempfile.NamedTemporaryFile(suffix=".target") as file:
        file.write(encode_image(target_image()))
        file.flush()
        text = DOCUMENT.read_text()
        head, *parts = text.split("```console\n")
        for part in parts:
            block, _, rest = part.partition("\n```")
            command = block.partition("\n")[0]
            head += f"```console\n{command}\n{printed_by(command.removeprefix('$ '), file.name)}```{rest}"
    DOCUMENT.write_text(head)


if __name__ == "__main__":
    write()
