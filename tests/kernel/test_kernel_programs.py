"""Loading, running once, and what the verifier's refusals become.  Nothing is attached anywhere."""

from __future__ import annotations

import importlib
import os
import struct
import sys
import traceback
from collections.abc import Iterator

import pytest

from live_object import NOTHING, program
from probee.errors import PermissionMissing, VerifierError, make_span
from probee.formats.btf.build import BtfBuilder, func_info
from probee.formats.btf.kind import LINKAGE_STATIC
from probee.kernel.features.feature import has
from probee.kernel.maps.array import ArrayMap
from probee.kernel.maps.create import create
from probee.kernel.maps.map import Map
from probee.kernel.programs import load as loading
from probee.kernel.programs.load import load, load_btf
from probee.kernel.syscalls.info import translated_instructions
from probee.kernel.syscalls.map import map_create
from probee.model.spec import MapSpec, MapType, ObjectSpec, ProgramType

pytestmark = pytest.mark.kernel

RAW = ProgramType.RAW_TRACEPOINT


@pytest.fixture
def array() -> Iterator[ArrayMap]:
    with create(MapSpec("numbers", MapType.ARRAY, 4, 32, 1)) as made:
        assert isinstance(made, ArrayMap)
        yield made


def refusal(text: str, maps: dict[str, Map] | None = None, type: int = RAW) -> VerifierError:
    with pytest.raises(VerifierError) as caught:
        load(program(text, type, name="bad", probe="kprobe:bad"), NOTHING, maps or {})
    return caught.value


def test_a_test_run_returns_the_programs_value() -> None:
    with load(program("r0 = 42\nexit", RAW), NOTHING, {}) as loaded:
        assert loaded.test_run().value == 42


def test_a_test_run_passes_the_context() -> None:
    with load(program("r0 = *(u64 *)(r1 + 8)\nexit", RAW), NOTHING, {}) as loaded:
        assert loaded.test_run(context=struct.pack("=QQ", 1, 77)).value == 77


def test_a_test_run_can_be_told_the_cpu() -> None:
    cpu = max(os.sched_getaffinity(0))
    with load(program("call get_smp_processor_id\nexit", RAW), NOTHING, {}) as loaded:
        assert loaded.test_run(cpu=cpu).value == cpu


def test_an_xdp_test_run_takes_a_packet_and_repeats() -> None:
    with load(program("r0 = 2\nexit", ProgramType.XDP), NOTHING, {}) as loaded:
        result = loaded.test_run(data=bytes(range(64)), repeat=100, data_out_size=64)
    assert (result.value, result.data) == (2, bytes(range(64)))


@pytest.mark.parametrize("number", [0, 1, 2**31, 2**32 - 1, 2**63 + 5, 2**64 - 1])
def test_late_constants_keep_all_bits(array: ArrayMap, number: int) -> None:
    text = "r1 = map_value[numbers]+8 ll\nr2 = const[late] ll\n*(u64 *)(r1 + 0) = r2\nr0 = 0\nexit"
    with load(program(text, RAW), NOTHING, {"numbers": array}, {"late": number}) as loaded:
        loaded.test_run()
    assert struct.unpack("=4Q", array.at(0)) == (0, number, 0, 0)


def test_negative_late_constants_are_sign_extended(array: ArrayMap) -> None:
    text = "r1 = map_value[numbers]+0 ll\nr2 = const[late] ll\n*(u64 *)(r1 + 0) = r2\nr0 = 0\nexit"
    with load(program(text, RAW), NOTHING, {"numbers": array}, {"late": -3}) as loaded:
        loaded.test_run()
    assert struct.unpack_from("=q", array.at(0)) == (-3,)


def test_the_kernel_knows_the_program_by_a_name_it_takes() -> None:
    with load(program("r0 = 0\nexit", RAW, name="kprobe:vfs_*_and_more_of_it"), NOTHING, {}) as loaded:
        info = loaded.info()
        assert info.name == "kprobe_vfs___an"
        assert info.translated_size == 16
        assert len(translated_instructions(loaded.fd)) == 16


def test_what_the_kernel_does_not_count_is_none() -> None:
    with load(program("r0 = 0\nexit", RAW), NOTHING, {}) as loaded:
        assert loaded.missed() == (0 if has("prog_recursion_misses") else None)


def test_callbacks_load_with_type_information(array: ArrayMap) -> None:
    if not has("for_each_map_elem"):
        pytest.skip("this kernel has no for_each_map_elem")
    text = """
        r1 = map[numbers] ll
        r2 = func#5 ll
        r3 = r10
        r4 = 0
        call for_each_map_elem
        exit
        r1 = 5
        *(u64 *)(r3 + 0) = r1
        r0 = 0
        exit
    """
    builder = BtfBuilder()
    prototype = builder.func_proto(builder.integer("int", 4, signed=True), ())
    main = builder.func("main", prototype)
    callback = builder.func("callback", prototype, linkage=LINKAGE_STATIC)
    btf, error = load_btf(builder.blob())
    assert error is None
    assert btf is not None
    with btf:
        spec = program(text, RAW, func_info=func_info([(0, main), (8, callback)]))
        with load(spec, NOTHING, {"numbers": array}, btf_fd=btf.fd) as loaded:
            assert loaded.test_run().value == 1
            assert loaded.info().btf_id


def test_type_information_that_the_kernel_refuses_is_told_with_its_log() -> None:
    btf, error = load_btf(b"\x9f\xeb\x01\0" + struct.pack("=IIIII", 24, 0, 4, 4, 1) + bytes(5))
    assert btf is None
    assert "load the program's BTF" in str(error)


# -- refusals

SOURCE = "kprobe:bad\n{\n  @x = *kptr;\n}\n"


def test_a_refusal_points_into_the_source() -> None:
    start = SOURCE.index("*kptr")
    spec = program(
        "r0 = *(u64 *)(r1 + 0)\nr0 = *(u64 *)(r0 + 0)\nexit", RAW, probe="kprobe:bad",
        lines=((0, make_span(0, 10)), (1, make_span(start, start + 5))),
    )  # fmt: skip
    object = ObjectSpec(programs=(spec,), maps=(), links=(), source_name="x.bt", source_text=SOURCE)
    with pytest.raises(VerifierError) as caught:
        load(spec, object, {})
    place, line, carets = str(caught.value).splitlines()
    assert place.startswith(
        "x.bt:3:8-13: the kernel refused kprobe:bad: memory is accessed through a number that is not known to be a pointer"
    )
    assert (line, carets) == ("  @x = *kptr;", "       ~~~~~")
    assert caught.value.insn == 1
    assert "1: (79) r0 = *(u64 *)(r0 +0)" in caught.value.log


@pytest.mark.parametrize(
    ("text", "words", "insn"),
    [
        ("r0 = r3\nexit", "a value is used that was never set", 0),
        ("*(u64 *)(r10 - 520) = 0\nr0 = 0\nexit", "beyond its 512 bytes", 0),
        ("r0 = *(u64 *)(r1 - 8)\nexit", "no 8 bytes at offset -8 of its context", 0),
        ("r1 = map_value[numbers]+0 ll\nr0 = *(u64 *)(r1 + 32)\nexit",
         "8 bytes at offset 32 of a map's value that has 32 bytes", 2),
        ("r2 = *(u64 *)(r1 + 0)\nr1 = map_value[numbers]+0 ll\nr1 += r2\nr0 = *(u8 *)(r1 + 0)\nexit", None, None),
        ("r2 = *(u64 *)(r1 + 0)\nr2 &= 255\nr1 = map_value[numbers]+0 ll\nr1 += r2\nr0 = *(u8 *)(r1 + 0)\nexit",
         "check its range", 5),
        ("*(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4\nr1 = map[table] ll\ncall map_lookup_elem\n"
         "r0 = *(u64 *)(r0 + 0)\nexit", "a pointer that may be NULL is used without a check", 6),
        ("call helper#99999\nr0 = 0\nexit", "this kernel has no helper (number 99999) for probes of this kind", 0),
        ("call skb_load_bytes\nr0 = 0\nexit", "this kernel has no helper", 0),
        ("r1 = 5\ncall ktime_get_ns\nr1 = r10\nr2 = 8\nr3 = 0\ncall probe_read_kernel\nr0 = 0\nexit", None, None),
        ("r1 = 1\nr2 = 8\nr3 = 0\ncall probe_read_kernel\nr0 = 0\nexit", "argument 1 of a call is", 3),
        ("r0 = 0\nr1 = r10\nr1 *= 2\nexit", "arithmetic on a pointer", 2),
        ("r0 = 0\ngoto out\nr0 = 1\nout:\nexit", "instructions that nothing reaches", 2),
        ("r0 = 0\nr1 = 0", "it can run off its end", None),
    ],
)  # fmt: skip
def test_the_verifiers_words_become_plain_ones(array: ArrayMap, text: str, words: str | None, insn: int | None) -> None:
    with create(MapSpec("table", MapType.HASH, 4, 8, 1)) as table:
        error = refusal(text, {"numbers": array, "table": table})
    assert "the kernel refused kprobe:bad: " in str(error)
    if words is not None:
        assert words in str(error)
    else:
        assert "(verifier: " in str(error)
    if insn is not None:
        assert error.insn == insn


def test_a_reserved_record_that_is_not_submitted_is_named_at_its_reservation() -> None:
    with create(MapSpec("ring", MapType.RINGBUF, 0, 0, 4096)) as ring:
        text = "r6 = 0\nr1 = map[ring] ll\nr2 = 8\nr3 = 0\ncall ringbuf_reserve\nr0 = 0\nexit"
        error = refusal(text, {"ring": ring})
    assert "neither submitted nor discarded" in str(error)
    assert error.insn == 5


def test_a_program_without_end_is_told_to_be_too_complex_or_endless() -> None:
    error = refusal("r0 = 0\nagain:\nr0 += 1\ncall ktime_get_ns\nif r0 != 5 goto again\nexit")
    assert "a loop whose end the verifier cannot see" in str(error) or "it is too complex" in str(error)


def test_a_log_that_does_not_fit_is_kept_with_its_complaint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "LOG_BYTES", 4096)
    error = refusal("r0 = 0\n" + "r0 += 1\n" * 1500 + "r0 = r9\nexit")
    assert "a value is used that was never set" in str(error)
    assert error.insn in (1501, -1)  # -1: kernels before 6.4 drop the end of the log
    assert len(error.log) > 3000


def test_a_function_reserved_for_the_gpl_is_refused_to_others() -> None:
    object = ObjectSpec(programs=(), maps=(), links=(), license="Proprietary")
    with pytest.raises(VerifierError, match="license GPL only"):
        load(program("call ktime_get_ns\nr1 = r10\nr1 += -8\nr2 = 8\nr3 = 0\ncall probe_read_kernel\nexit", RAW), object, {})


def test_without_capabilities_the_message_has_the_command_to_type() -> None:
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(write_end, refusal_as_nobody().encode())
        except BaseException:
            os.write(write_end, traceback.format_exc().encode())
        finally:
            os._exit(0)
    os.close(write_end)
    os.waitpid(child, 0)
    with open(read_end, encoding="utf-8") as pipe:
        text = pipe.read()
    assert text.startswith("this needs CAP_BPF and CAP_PERFMON, which this process does not have (to create a map)")
    assert f"sudo {sys.executable} " in text
    assert "probee lab run -- " in text


def refusal_as_nobody() -> str:
    for module in ("shlex", "resource", "probee.kernel.syscalls.capability"):
        importlib.import_module(module)  # nobody may not be able to read the files
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    try:
        map_create(MapType.HASH, 4, 4, 1)
    except PermissionMissing as error:
        return str(error)
    return "allowed"
