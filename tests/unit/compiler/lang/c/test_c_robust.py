"""Mistreated programs: a text of the corpus with words lost, doubled, swapped or garbled compiles or is refused in its place.

PROBEE_FUZZ_N says how many, PROBEE_FUZZ_SEED which; a failure shows the text, which then belongs into a test of its own.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest

from c_corpus import PROGRAMS
from probee.compiler.compile import compile_c
from probee.errors import CompileError
from script_harness import shared_target

N_TEXTS = int(os.environ.get("PROBEE_FUZZ_N", "60"))
LIMIT_S = 5.0
_WORD = re.compile(r"\w+|\s+|\"(?:[^\"\\\n]|\\.)*\"|->|<<|>>|&&|\|\||[=!<>]=|.", re.DOTALL)
_THROWN_IN = (
    "{", "}", "(", ")", "[", "]", ";", ",", "*", "&", "->", ".", "=", "==", "?", ":", "#", "##", '"', "'", "/*", "*/", "//",
    "\\", "\n", "\n#if 1\n", "\n#endif\n", "\n#define u32 ", "\n#include ", "\0", "\x80", "€", "0", "1", "-1", "0x", "08",
    "1e3", "1.5", "99999999999999999999", "'ab'", '"s"', "int", "struct", "union", "enum", "static", "const", "void", "u64",
    "char", "double",
    "sizeof", "typeof", "return", "if", "else", "for", "while (1)", "do", "switch", "case", "default:", "break;", "continue;",
    "goto out;", "__attribute__((packed))", "asm(\"\")", "ctx", "f", "lookup", "BPF_HASH(x)", "struct task_struct *", "(u8)",
    "unsigned __int128", "__builtin_memcpy", "bpf_ktime_get_ns()", "...", "+=", "<<", "%", "~", "!", "_Generic",
    "_Static_assert",
)  # fmt: skip


def mistreated(random: Random) -> str:
    """Return a text of the corpus with up to four things done to it."""
    text = PROGRAMS[random.choice(list(PROGRAMS))]
    for _ in range(random.randint(1, 4)):
        words = _WORD.findall(text)
        at = random.randrange(len(words))
        kind = random.randrange(10)
        if kind == 0:
            del words[at]
        elif kind == 1:
            words.insert(at, words[at])
        elif kind == 2:
            other = random.randrange(len(words))
            words[at], words[other] = words[other], words[at]
        elif kind == 3:
            words.insert(at, random.choice(_THROWN_IN))
        elif kind == 4:
            words[at] = random.choice(_THROWN_IN)
        elif kind == 5:
            del words[at : at + random.randint(2, 12)]
        elif kind == 6:
            words[at] = random.choice(words)
        else:  # by one of its kind: it may well parse
            alike = [word for word in words if word[:1].isidentifier() == words[at][:1].isidentifier() and not word.isspace()]
            words[at] = random.choice(alike)
        text = "".join(words)
    return text


@contextmanager
def time_limit(seconds: float, text: str) -> Iterator[None]:
    def late(number: int, frame: object) -> None:
        raise AssertionError(f"not done after {seconds} s:\n{text}")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def verdict(text: str) -> str:
    """Return "" of a program that compiles or is refused in its place, else what is wrong."""
    with time_limit(LIMIT_S, text):
        try:
            compile_c(text, shared_target(), {})
        except CompileError as error:
            return "" if error.span else f"no place: {error}"
        except Exception as error:  # which is what must not come
            return f"{type(error).__name__}: {error}"
    return ""


@pytest.mark.timeout(0)
def test_a_mistreated_program_compiles_or_is_refused_in_its_place() -> None:
    seed = int(os.environ.get("PROBEE_FUZZ_SEED", "0")) or Random().getrandbits(32)
    for number in range(N_TEXTS):
        text = mistreated(Random(f"{seed}-{number}"))
        found = verdict(text)
        assert not found, f"seed {seed}, text {number}: {found}\n{text}"
