"""Programs of C for the tests of lang/c: read them, or see what is wrong with them."""

from __future__ import annotations

from functools import cache
from typing import Any

from probee.compiler.lang.c.program_text import parse_program
from probee.compiler.lang.c.unit import TranslationUnit
from probee.errors import CompileError, Source
from probee.formats.target import FileTarget
from target_fixture import build_target


@cache
def target() -> FileTarget:
    return build_target()


def read(text: str, *cflags: str) -> TranslationUnit:
    """Return the unit of a program for the small kernel of the tests."""
    return parse_program(Source("main.c", text), target(), {"cflags": list(cflags)})


def refused(text: str, *cflags: str) -> CompileError:
    """Return the error of a program that must not be accepted."""
    try:
        read(text, *cflags)
    except CompileError as error:
        return error
    raise AssertionError(f"accepted: {text}")


def underlined(error: CompileError) -> str:
    """Return the text that an error points at."""
    assert error.source is not None
    start, length = error.span >> 24, error.span & 0xFFFFFF
    return error.source.text[start : start + length]


def body(unit: TranslationUnit, name: str) -> Any:
    """Return the statements of a function."""
    return unit.functions[name].node.body.block_items
