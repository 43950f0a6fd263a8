"""Generated programs are loaded into the kernel: whatever compiles, the verifier takes.

A short run is part of the suite.  PROBEE_FUZZ_LOAD_S=600 goes on for so many seconds, with new programs each time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from probee.compiler.compile import compile
from probee.errors import CompileError, VerifierError
from probee.kernel.target import LiveTarget
from probee.runtime.session import Session
from script_generator import Generator

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="loading programs needs root"),
    pytest.mark.timeout(120 + 2 * int(os.environ.get("PROBEE_FUZZ_LOAD_S", "0"))),
]
LONG_S = int(os.environ.get("PROBEE_FUZZ_LOAD_S", "0"))
PARAMETERS = ("5", "word")
TOO_COMPLEX = "it is too complex"  # nested loops that are too long are the program's own fault


def seeds(count: int) -> Iterator[int]:
    """Yield so many numbers, or new ones for as long as there is time."""
    if not LONG_S:
        yield from range(count)
        return
    seed, end = int(time.time() * 1000) << 16, time.monotonic() + LONG_S
    while time.monotonic() < end:
        yield seed
        seed += 1


def test_what_compiles_is_accepted_by_the_verifier() -> None:
    target = LiveTarget()
    loaded = 0
    for seed in seeds(25):
        text = Generator(seed, chaos=0).program()
        try:
            spec = compile(text, target, {"parameters": PARAMETERS})
        except CompileError:
            continue
        session = Session(spec, parameters=PARAMETERS)
        try:
            session.installed.create_maps()
            session.installed.load(session.constants())
            loaded += 1
        except VerifierError as error:
            if TOO_COMPLEX not in str(error):
                pytest.fail(f"seed {seed}: {error}\n{text}")
        finally:
            session.close()
    assert loaded
