"""The name `bcc`, and programs that are run with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from probee.cli.bccname import installed

ROOT = Path(__file__).resolve().parents[3]


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment}
    return subprocess.run([sys.executable, *words], env=env, capture_output=True, text=True, check=False)


def write(directory: Path, text: str, name: str = "program.py") -> str:
    path = directory / name
    path.write_text(text)
    return str(path)


def test_a_program_gets_our_bcc_whatever_else_has_the_name(tmp_path: Path) -> None:
    write(tmp_path, "raise ImportError('the other one')\n", "bcc.py")
    text = "import bcc, bcc.utils\nfrom bcc import tcp\nprint(bcc.__implementation__, tcp.state2str(1))\n"
    program = write(tmp_path, text)
    assert run("-m", "probee", "bcc", program).stdout == "probee ESTABLISHED\n"


def test_a_module_is_one_under_both_names(tmp_path: Path) -> None:
    program = write(
        tmp_path,
        "import bcc.utils, probee.bcc.utils\n"
        "from bcc.table import HashTable\nfrom probee.bcc.mapping import HashTable as Other\n"
        "print(bcc.utils is probee.bcc.utils, HashTable is Other, bcc.utils.__spec__.name)\n",
    )
    assert run("-m", "probee", "bcc", program).stdout == "True True probee.bcc.utils\n"


def test_a_program_finds_itself_as_under_python(tmp_path: Path) -> None:
    write(tmp_path, "value = 5\n", "beside.py")
    program = write(tmp_path, "import sys, beside\nprint(__name__, sys.argv[1:], __file__ == sys.argv[0], beside.value)\n")
    assert run("-m", "probee", "bcc", program, "-p", "1").stdout == "__main__ ['-p', '1'] True 5\n"


def test_a_traceback_begins_in_the_program(tmp_path: Path) -> None:
    done = run("-m", "probee", "bcc", write(tmp_path, "\n1 / 0\n"))
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert "program.py" in lines[1]
    assert lines[-1] == "ZeroDivisionError: division by zero"


def test_what_our_face_refuses_is_told_with_the_program_s_line_and_no_traceback(tmp_path: Path) -> None:
    text = "from bcc import BPF\n\ndef look():\n    BPF(src_file='none.c')  # here\n\nlook()\n"
    done = run("-m", "probee", "bcc", write(tmp_path, text))
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "ERROR: Could not find file b'none.c'",
        f"  {tmp_path / 'program.py'}:4: BPF(src_file='none.c')  # here",
    ]


def test_a_program_that_catches_exceptions_catches_ours(tmp_path: Path) -> None:
    text = "from bcc import BPF\ntry:\n    BPF(src_file='none.c')\nexcept Exception as error:\n    print(error)\n"
    done = run("-m", "probee", "bcc", write(tmp_path, text))
    assert (done.returncode, done.stdout, done.stderr) == (0, "Could not find file b'none.c'\n", "")


def test_a_program_s_own_excepthook_is_asked(tmp_path: Path) -> None:
    text = "import sys\nfrom bcc import BPF\nsys.excepthook = lambda kind, *_: print(kind.__name__)\nBPF(src_file='none.c')\n"
    done = run("-m", "probee", "bcc", write(tmp_path, text))
    assert (done.returncode, done.stdout, done.stderr) == (1, "BccError\n", "")


def test_the_exit_status_is_the_program_s_and_what_is_left_for_exit_is_done(tmp_path: Path) -> None:
    done = run("-m", "probee", "bcc", write(tmp_path, "import atexit\natexit.register(print, 'bye')\nexit(3)\n"))
    assert (done.returncode, done.stdout) == (3, "bye\n")


def test_what_is_no_python_is_told_in_python_s_words(tmp_path: Path) -> None:
    done = run("-m", "probee", "bcc", write(tmp_path, "def\n"))
    assert done.returncode == 1
    assert "SyntaxError" in done.stderr
    assert "Traceback" not in done.stderr  # which would be ours


def test_a_missing_program_is_no_traceback(tmp_path: Path) -> None:
    done = run("-m", "probee", "bcc", str(tmp_path / "none.py"))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "none.py" in done.stderr


def test_the_distribution_gives_the_name(tmp_path: Path) -> None:
    done = run(
        "-c", "from bcc import BPF\nfrom bcc.utils import printb\nimport bcc\nprint(bcc.__implementation__, BPF.XDP)",
        PYTHONPATH=f"{ROOT / 'packaging/bcc'}:{ROOT / 'src'}",
    )  # fmt: skip
    assert done.stdout == "probee 6\n"


def test_every_bcc_on_the_path_is_listed_the_winner_first(tmp_path: Path) -> None:
    other = tmp_path / "bcc"
    other.mkdir()
    (other / "__init__.py").write_text("from .libbcc import lib\n")
    ours = ROOT / "packaging" / "bcc"
    found = installed([str(tmp_path), str(ours), str(tmp_path / "none")])
    assert found == [(str(other / "__init__.py"), "another"), (str(ours / "bcc" / "__init__.py"), "probee")]


@pytest.mark.parametrize(
    "name", ["BPF", "USDT", "PerfType", "BPFAttachType", "lib", "SymbolCache", "Table", "_get_num_open_probes"]
)
def test_the_names_that_programs_import_are_there(name: str) -> None:
    import probee.bcc

    assert getattr(probee.bcc, name) is not None


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    import probee.bcc

    with pytest.raises(AttributeError, match="nothing"):
        _ = probee.bcc.nothing


def test_importing_is_light() -> None:
    done = run("-S", "-c", "import sys\nfrom probee.bcc import BPF\nprint(*sys.modules)")
    heavy = {"re", "enum", "inspect", "dataclasses", "typing", "json", "subprocess", "probee.compiler.compile"}
    assert not heavy & set(done.stdout.split())


def test_everything_can_be_imported_at_once_with_the_modules_that_bcc_s_own_imports() -> None:
    names: dict[str, object] = {}
    exec("from probee.bcc import *", names)
    assert callable(names["BPF"])
    assert names["ct"] is __import__("ctypes")
    assert names["os"] is __import__("os")
