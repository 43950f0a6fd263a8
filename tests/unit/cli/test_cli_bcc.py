"""What `probee bcc` shows of a program that fails: its own lines, and none of ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def shown(tmp_path: Path, text: str) -> str:
    program = tmp_path / "program.py"
    program.write_text(text)
    command = [sys.executable, "-m", "probee", "bcc", str(program)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    return ended.stderr


def test_what_the_face_refuses_ends_in_the_program_s_line(tmp_path: Path) -> None:
    told = shown(tmp_path, "from bcc import USDT\nUSDT()\n")
    assert "program.py" in told
    assert "USDTException: either a pid or a binary path must be specified" in told
    assert "usdt.py" not in told


def test_what_the_program_itself_raises_is_shown_whole(tmp_path: Path) -> None:
    told = shown(tmp_path, "from bcc.utils import printb\ndef inner(): raise LookupError('mine')\ninner()\n")
    assert "in inner" in told
    assert "LookupError: mine" in told


def test_an_error_of_ours_is_told_with_the_program_s_line(tmp_path: Path) -> None:
    told = shown(tmp_path, "from bcc import BPF\nBPF(src_file='nothing.c')\n")
    assert told.startswith("ERROR: Could not find file b'nothing.c'\n")
    assert told.endswith("program.py:2: BPF(src_file='nothing.c')\n")
