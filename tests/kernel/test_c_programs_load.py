"""What programs of BCC's C become, the kernel's verifier takes: on every kernel of the lab, and on this one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from random import Random

import pytest

from c_corpus import PROGRAMS
from c_generator import PREAMBLE, generate
from probee.compiler.compile import compile_c
from probee.errors import CompileError, VerifierError
from probee.kernel.maps.create import create_all
from probee.kernel.programs.load import load
from probee.kernel.syscalls.btf import btf_load
from probee.kernel.syscalls.fd import Descriptor
from probee.kernel.target import LiveTarget
from probee.model.spec import MapSpec, MapType, ObjectSpec

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def target() -> Iterator[LiveTarget]:
    yield LiveTarget()


def sized(spec: MapSpec) -> MapSpec:
    """Return a perf buffer's spec with room for this machine's CPUs."""
    if spec.type == MapType.PERF_EVENT_ARRAY and not spec.max_entries:
        return MapSpec(spec.name, spec.type, spec.key_size, spec.value_size, 8)
    return spec


def load_all(spec: ObjectSpec) -> None:
    """Load every program of an object, and let them go again."""
    maps = create_all(tuple(sized(each) for each in spec.maps))
    btf = Descriptor(btf_load(spec.btf), "types of the program")
    try:
        for program in spec.programs:
            load(program, spec, maps, btf_fd=btf.fd).close()
    finally:
        btf.close()
        for live in maps.values():
            live.close()


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_verifier_takes_it(name: str, target: LiveTarget) -> None:
    spec = compile_c(PROGRAMS[name], target)
    assert spec.programs
    load_all(spec)


# The verifier of Linux 6.1 forgets what half a slot of the stack holds when the other half is written at a variable index, if a
# number lay in it, and refuses to read it; whoever compiled it.
HALF = "u32 t[8] = {1, 0, 3, 4}, *p = &t[(a & 1) * 4]; p[1] += b; return t[1];"
FORGETS = "invalid size of register fill"


@pytest.fixture(scope="module")
def forgets_halves(target: LiveTarget) -> bool:
    try:
        load_all(compile_c(f"int f(struct pt_regs *ctx, u64 a, u64 b) {{ {HALF} }}", target))
    except VerifierError as error:
        assert FORGETS in str(error), str(error)
        return True
    return False


def test_the_verifier_takes_random_functions(target: LiveTarget, forgets_halves: bool) -> None:
    """Those that return what the system's compiler makes of them (lang/c's test_c_against_compiler.py)."""
    seed = int(os.environ.get("PROBEE_FUZZ_SEED", "0")) or Random().getrandbits(32)
    for number in range(int(os.environ.get("PROBEE_FUZZ_N", "10"))):
        body = generate(Random(f"{seed}-{number}"))
        try:
            load_all(compile_c(f"{PREAMBLE}\nu64 f(struct pt_regs *ctx, u64 a, u64 b) {{\n{body}\n}}\n", target))
        except CompileError as error:
            assert "needs Linux" in error.message, error.report()  # an atomic that fetches
        except VerifierError as error:
            if forgets_halves and FORGETS in str(error):
                continue
            raise AssertionError(f"seed {seed}, function {number}: {error}\n{body}") from None
