"""docs/errors-c.md shows what is printed: every program in it is compiled again, for the kernel of target_fixture.py.

`python tests/unit/compiler/lang/c/test_c_errors_document.py` writes the document anew from its programs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[4]))
from probee.compiler.compile import compile_c
from probee.errors import CompileError
from target_fixture import build_target

DOCUMENT = Path(__file__).parents[5] / "docs" / "errors-c.md"
PROGRAM, PRINTED = "```c\n", "\n```\n\n```text\n"


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield (program, what the document says is printed)."""
    for part in text.split(PROGRAM)[1:]:
        program, _, rest = part.partition(PRINTED)
        yield program, rest.partition("\n```")[0]


def printed_for(program: str) -> str:
    """Return the error or the warnings that a program gets."""
    try:
        return "\n".join(compile_c(program, build_target(), {"name": "main.c"}).warnings)
    except CompileError as error:
        return error.report()


@pytest.mark.parametrize(("program", "printed"), list(blocks(DOCUMENT.read_text())))
def test_a_program_gets_what_the_document_says(program: str, printed: str) -> None:
    assert printed
    assert printed_for(program) == printed


def test_there_are_at_least_forty() -> None:
    assert len(list(blocks(DOCUMENT.read_text()))) >= 40


def write() -> None:
    """Write the document anew."""
    head, *parts = DOCUMENT.read_text().split(PROGRAM)
    for part in parts:
        program, _, rest = part.partition(PRINTED)
        head += f"{PROGRAM}{program}{PRINTED}{printed_for(program)}\n```{rest.partition('```')[2]}"
    DOCUMENT.write_text(head)


if __name__ == "__main__":
    write()
