"""Verifier logs in the forms of several kernels, written here after the format strings of kernel/bpf/verifier.c."""

from __future__ import annotations

import pytest

from probee.errors import VerifierError, make_span
from probee.kernel.programs.complaint import explain
from probee.kernel.programs.rejection import CUT, Rejection, rejection, span_of
from probee.model.spec import LinkSpec, ObjectSpec, ProgramSpec

KNOWN = "a pointer is wanted here whose type the kernel knows: an argument of the probe as it came, or what is read through one"

# 5.10: "inv" for a number, states on lines of their own.
LOG_5_10 = """\
func#0 @0
0: R1=ctx(id=0,off=0,imm=0) R10=fp0
; @x = *kptr;
0: (79) r6 = *(u64 *)(r1 +112)
1: R1=ctx(id=0,off=0,imm=0) R6_w=inv(id=0) R10=fp0
1: (79) r0 = *(u64 *)(r6 +0)
R6 invalid mem access 'inv'
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""

# 6.1: "scalar", states behind the instruction.
LOG_6_1 = """\
func#0 @0
reg type unsupported for arg#0 function kprobe_vfs_read#3
0: R1=ctx(off=0,imm=0) R10=fp0
; @x = *kptr;
0: (79) r6 = *(u64 *)(r1 +112)        ; R1=ctx(off=0,imm=0) R6_w=scalar()
1: (79) r0 = *(u64 *)(r6 +0)
R6 invalid mem access 'scalar'
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""

# 6.12: the source line with its place.
LOG_6_12 = """\
func#0 @0
0: R1=ctx() R10=fp0
; @x = *kptr; @ x.bt:3
0: (79) r6 = *(u64 *)(r1 +112)        ; R1=ctx() R6_w=scalar()
1: (79) r0 = *(u64 *)(r6 +0)
R6 invalid mem access 'scalar'
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""

# 7.x: live registers first, states without _w.
LOG_7 = """\
Live regs before insn:
  0: .1........ (79) r6 = *(u64 *)(r1 +112)
  1: ......6... (79) r0 = *(u64 *)(r6 +0)
0: R1=ctx() R10=fp0
; @x = *kptr; @ x.bt:3
0: (79) r6 = *(u64 *)(r1 +112)        ; R1=ctx() R6=scalar()
1: (79) r0 = *(u64 *)(r6 +0)
R6 invalid mem access 'scalar'
verification time 61 usec
stack depth 0
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""


@pytest.mark.parametrize("log", [LOG_5_10, LOG_6_1, LOG_6_12, LOG_7], ids=["5.10", "6.1", "6.12", "7.x"])
def test_the_failing_instruction_and_complaint_are_found_in_every_form(log: str) -> None:
    found = Rejection(log)
    assert found.slot == 1
    assert found.complaint == [log.splitlines()[-2 if log is not LOG_7 else -4]]
    assert explain(found.complaint, 13) == "memory is accessed through a number that is not known to be a pointer"


@pytest.mark.parametrize(
    ("log", "slot", "words"),
    [
        # control flow is checked before any instruction is walked: the message alone names the place
        ("back-edge from insn 7 to 3\nprocessed 0 insns (limit 1000000)", 7, "a loop whose end the verifier cannot see"),
        ("unreachable insn 4\nprocessed 0 insns (limit 1000000)", 4, "it has instructions that nothing reaches"),
        ("jump out of range from insn 2 to 90\nprocessed 0 insns", 2, "it jumps out of itself"),
        ("last insn is not an exit or jmp\nprocessed 0 insns", -1, "it can run off its end"),
        # two lines belong together
        ("3: (71) r0 = *(u8 *)(r1 +0)\n R0_w=map_value(id=0,off=0,ks=4,vs=32,imm=0) R10=fp0\n"
         "invalid access to map value, value_size=32 off=32 size=1\nR1 min value is outside of the allowed memory range\n"
         "processed 4 insns", 3, "the program reads or writes 1 bytes at offset 32 of a map's value that has 32 bytes"),
        ("5: (71) r0 = *(u8 *)(r1 +0)\ninvalid access to map value, value_size=32 off=255 size=1\n"
         "R1 max value is outside of the allowed memory range\nprocessed 6 insns", 5,
         "an index or a size can leave the memory it is used on: check its range before"),
        # pointers that may be NULL, in the words of 5.10 and of now
        ("6: (79) r0 = *(u64 *)(r0 +0)\nR0 invalid mem access 'map_value_or_null'\nprocessed 7 insns", 6,
         "a pointer that may be NULL is used without a check"),
        ("6: (79) r0 = *(u64 *)(r0 +0)\nR0 invalid mem access 'ringbuf_mem_or_null'\nprocessed 7 insns", 6,
         "a pointer that may be NULL is used without a check"),
        # helpers: 5.10 to 6.9, and from 6.10 on
        ("2: (85) call bpf_loop#181\nunknown func bpf_loop#181\nprocessed 3 insns", 2,
         "this kernel has no helper bpf_loop (number 181) for probes of this kind"),
        ("2: (85) call unknown#181\ninvalid func unknown#181\nprocessed 3 insns", 2,
         "this kernel has no helper (number 181) for probes of this kind"),
        ("2: (85) call bpf_loop#181\nprogram of this type cannot use helper bpf_loop#181\nprocessed 3 insns", 2,
         "this kernel has no helper bpf_loop (number 181) for probes of this kind"),
        # the stack, in 5.10 and now
        ("0: (7a) *(u64 *)(r10 -520) = 0\ninvalid stack off=-520 size=8\nprocessed 1 insns", 0,
         "the stack is used at offset -520, beyond its 512 bytes"),
        ("0: (7a) *(u64 *)(r10 -520) = 0\ninvalid write to stack R10 off=-520 size=8\nprocessed 1 insns", 0,
         "the stack is used at offset -520, beyond its 512 bytes"),
        ("4: (85) call bpf_perf_event_output#25\ninvalid indirect read from stack off -16+4 size 16\nprocessed 5 insns", 4,
         "a part of the stack is read that was never written"),
        ("combined stack size of 2 calls is 576. Too large\nprocessed 0 insns", -1,
         "the program and its callbacks need 576 bytes of stack, the kernel allows 512"),
        # references: the reservation is meant, not the exit
        ("9: (95) exit\nUnreleased reference id=2 alloc_insn=4\nprocessed 10 insns", 4,
         "on some path a reserved record (or another reference) is neither submitted nor discarded"),
        # size
        ("8: (05) goto pc-3\nBPF program is too large. Processed 1000001 insn\nprocessed 1000001 insns", 8,
         "it is too complex: the verifier gave up after 1000001 instructions;"
         " use shorter loops or fewer probes in one program"),
        ("423: (5d) if r4 != r3 goto pc+24 BPF program is too large. Processed 1000001 insn\nprocessed 1000001 insns", 423,
         "it is too complex: the verifier gave up after 1000001 instructions;"
         " use shorter loops or fewer probes in one program"),
        ("8: (15) if r1 == 0x0 goto pc+1\nThe sequence of 8193 jumps is too complex.\nprocessed 9000 insns", 8,
         "it is too complex, or it has a loop whose end the verifier cannot see: more than 8193 branches are open; "
         "split it, or bound the loop by a constant"),
        ("from 12 to 9: R0=inv1 R10=fp0\n9: (07) r0 += 1\ninfinite loop detected at insn 9\nprocessed 40 insns", 9,
         "a loop whose end the verifier cannot see"),
        # arguments
        ("3: (85) call bpf_probe_read_kernel#113\nR1 type=inv expected=fp\nprocessed 4 insns", 3,
         "argument 1 of a call is inv, and should be fp"),
        ("3: (85) call bpf_skb_output#111\nR1 type=scalar expected=ptr_, trusted_ptr_, rcu_ptr_\nprocessed 4 insns", 3, KNOWN),
        ("3: (85) call bpf_skb_output#111\nR1 type=inv expected=ptr_\nprocessed 4 insns", 3, KNOWN),
        ("3: (85) call bpf_probe_read_kernel#113\nR2 min value is negative, either use unsigned or 'var &= const'\n"
         "processed 4 insns", 3, "an index or a size can leave the memory it is used on: check its range before"),
        ("3: (85) call bpf_probe_read_kernel#113\nR2 unbounded memory access, use 'var &= const' or 'if (var < const)'\n"
         "processed 4 insns", 3, "a size or an index has no upper bound that the verifier knows: check its range before"),
        # older kernels
        ("1: (db) lock *(u64 *)(r10 -8) += r1\nBPF_XADD uses reserved fields\nprocessed 0 insns", 1,
         "this kernel is too old for an instruction in it"),
        # what no table has is shown as it is
        ("1: (b7) r1 = 0\nsomething entirely new about R1\nprocessed 2 insns", 1, "something entirely new about R1"),
    ],
)  # fmt: skip
def test_complaints_become_sentences(log: str, slot: int, words: str) -> None:
    found = Rejection(log)
    assert found.slot == slot
    assert explain(found.complaint, 22) == words


@pytest.mark.parametrize(
    ("errno", "words"),
    [
        (7, "it has more instructions than the kernel takes"),
        (22, "it is of a kind, or wants something, that this kernel does not know"),
        (28, "No space left on device, without a word why"),
    ],
)
def test_without_a_log_the_errno_speaks(errno: int, words: str) -> None:
    assert explain(Rejection("").complaint, errno) == words
    assert Rejection("").slot == -1


SOURCE = "kprobe:f\n{\n  @x = *kptr;\n}\n"


def spec(lines: tuple[tuple[int, int], ...]) -> ProgramSpec:
    return ProgramSpec("f", 2, b"", probe="kprobe:f", lines=lines)


def refused(program: ProgramSpec, text: str = SOURCE) -> VerifierError:
    object = ObjectSpec(programs=(program,), maps=(), links=(), source_name="x.bt", source_text=text)
    return rejection(13, LOG_6_12, program, object)


def test_the_message_points_into_the_source() -> None:
    start = SOURCE.index("*kptr")
    error = refused(spec(((0, make_span(0, 3)), (1, make_span(start, start + 5)))))
    assert str(error) == (
        "x.bt:3:8-13: the kernel refused kprobe:f: memory is accessed through a number that is not known to be a pointer"
        " (verifier: R6 invalid mem access 'scalar')\n"
        "  @x = *kptr;\n"
        "       ~~~~~"
    )
    assert (error.insn, error.log) == (1, LOG_6_12)
    assert error.report().startswith("x.bt:3:8-13: ERROR: the kernel refused kprobe:f: ")


def test_an_instruction_that_stands_for_no_text_is_shown_at_the_attach_point() -> None:
    program = spec(((0, 0),))
    link = LinkSpec("kprobe", program.name, "kprobe:f", {}, span=make_span(0, 8))
    object = ObjectSpec(programs=(program,), maps=(), links=(link,), source_name="x.bt", source_text=SOURCE)
    assert rejection(13, LOG_6_12, program, object).place == "x.bt:1:1-9"


def test_without_source_the_message_names_the_probe_only() -> None:
    assert str(refused(spec(()))).startswith("the kernel refused kprobe:f: memory is accessed")
    assert str(refused(spec(((0, make_span(0, 3)),)), "")).startswith("the kernel refused kprobe:f: ")


def test_an_instruction_without_a_place_takes_the_one_before() -> None:
    first, second = make_span(1, 2), make_span(5, 9)
    program = spec(((0, first), (4, second), (6, 0)))
    assert [span_of(program, slot) for slot in (-1, 0, 3, 4, 5, 6, 99)] == [0, first, first, second, second, second, second]


def test_the_complaint_behind_a_cut_log_is_not_put_at_its_last_instruction() -> None:
    found = Rejection(f"0: (b7) r0 = 0\n1: (07) r0 += 1\n{CUT}\nR9 !read_ok\nprocessed 1502 insns (limit 1000000)")
    assert (found.complaint, found.slot) == (["R9 !read_ok"], -1)


def test_a_log_that_lost_its_head_is_still_read() -> None:
    assert Rejection(LOG_6_12[LOG_6_12.index("1: (79)") - 20 :]).slot == 1
