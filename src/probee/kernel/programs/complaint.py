"""What the verifier's complaints mean, in plain words: a table from patterns of its messages to sentences.

The messages are those of kernel/bpf/verifier.c; where a message changed between 5.10 and now, both forms are here.
"""

from __future__ import annotations

import re

_TABLE: tuple[tuple[str, str], ...] = (
    # 1. memory
    (r"R\d+ invalid mem access '(?:inv|scalar)'", "memory is accessed through a number that is not known to be a pointer"),
    (r"R\d+ invalid mem access '\w*_?or_null\w*'", "a pointer that may be NULL is used without a check"),
    (r"R\d+ invalid mem access 'mem_or_null'", "the result of reserving a record is used without a check for NULL"),
    (r"R\d+ invalid mem access '(\w+)'", "this kind of pointer cannot be followed here: {0}"),
    (r"R\d+ (?:max value is outside of|(?:min|max) value is (?:negative|out of))",
     "an index or a size can leave the memory it is used on: check its range before"),
    (r"invalid access to map value, value_size=(\d+) off=(-?\d+) size=(\d+)",
     "the program reads or writes {2} bytes at offset {1} of a map's value that has {0} bytes"),
    (r"invalid access to memory, mem_size=(\d+) off=(-?\d+) size=(\d+)",
     "the program reads or writes {2} bytes at offset {1} of memory that has {0} bytes"),
    (r"write into map forbidden", "the program writes to a map that is read-only for programs"),
    (r"R\d+ unbounded memory access",
     "a size or an index has no upper bound that the verifier knows: check its range before"),
    (r"value (-?\d+) makes (\w+) pointer be out of bounds", "a {1} pointer may be moved too far"),
    (r"math between (\w+) pointer and (?:register|\d+)", "arithmetic on a {0} pointer with a number of unknown range"),
    (r"R\d+ (?:pointer arithmetic|bitwise operator|32-bit pointer arithmetic|invalid pointer arithmetic)",
     "arithmetic on a pointer that the verifier does not allow"),
    (r"pointer arithmetic on (\w+) prohibited",
     "arithmetic on a {0} pointer, which the verifier does not allow"),
    (r"misaligned (\w+ )?access", "an access that is not aligned to its size"),
    (r"invalid bpf_context access off=(-?\d+) size=(\d+)",
     "a probe of this kind has no {1} bytes at offset {0} of its context"),
    (r"dereference of modified ctx ptr|variable ctx access",
     "the pointer to the probe's context was changed before it was used"),
    (r"access beyond struct (\w+) at off (\d+)", "the program reads beyond the end of struct {0} (offset {1})"),
    (r"access beyond the end of member (\w+)", "the program reads beyond the end of member {0}"),
    (r"R\d+ is ptr_(\w+) (?:invalid negative access|access random)", "the program reads outside of struct {0}"),
    (r"R\d+ must be (?:referenced or trusted|a rcu pointer)",
     "the kernel wants a pointer here that it knows to be valid"),
    # 2. stack
    (r"combined stack size of \d+ calls is (\d+)",
     "the program and its callbacks need {0} bytes of stack, the kernel allows 512"),
    (r"invalid (?:stack|write to stack R\d+) off=(-?\d+) size",
     "the stack is used at offset {0}, beyond its 512 bytes"),
    (r"invalid (?:indirect )?read from stack", "a part of the stack is read that was never written"),
    (r"invalid (?:indirect access to |variable-offset .* )?stack",
     "the stack is used outside of its 512 bytes, or at an unknown place"),
    (r"R\d+ !read_ok", "a value is used that was never set"),
    # 3. calls
    (r"(?:program of this type cannot use helper|unknown func|invalid func) (?:(?!unknown)(\w+))?(?:unknown)?#(\d+)",
     "this kernel has no helper {0} (number {1}) for probes of this kind"),
    (r"cannot call GPL-restricted function",
     "the helper may be called by programs with the license GPL only"),
    (r"R\d+ type=(?:inv|scalar) expected=(?:trusted_|rcu_)?ptr_",
     "a pointer is wanted here whose type the kernel knows: an argument of the probe as it came, or what is read through one"),
    (r"R(\d+) type=(\S+) expected=(.+)", "argument {0} of a call is {1}, and should be {2}"),
    (r"helper call might sleep|sleepable", "the helper may sleep, which a probe of this kind must not"),
    (r"calling kernel function (\w+) is not allowed", "probes of this kind may not call the kernel function {0}"),
    (r"Unreleased reference|would lead to reference leak",
     "on some path a reserved record (or another reference) is neither submitted nor discarded"),
    (r"At program exit the register R0 has|R0 leaks addr",
     "the program's return value is not one that the kernel allows here"),
    (r"callback function not static",
     "the kernel wants type information about a callback, which was not given"),
    # 4. size and loops
    (r"BPF program is too large. Processed (\d+) insn",
     "it is too complex: the verifier gave up after {0} instructions; use shorter loops or fewer probes in one program"),
    (r"sequence of (\d+) jumps is too complex",
     "it is too complex, or it has a loop whose end the verifier cannot see: more than {0} branches are open; "
     "split it, or bound the loop by a constant"),
    (r"infinite loop detected|back-edge from insn", "a loop whose end the verifier cannot see"),
    (r"unreachable insn", "it has instructions that nothing reaches"),
    (r"jump out of range", "it jumps out of itself"),
    (r"last insn is not an exit or jmp", "it can run off its end"),
    # 5. what an older kernel does not know
    (r"unknown opcode|BPF_(?:XADD|ATOMIC|MOV|ALU|ALU64|LDX|STX|JMP|JMP32|CALL|EXIT) uses|invalid atomic op",
     "this kernel is too old for an instruction in it"),
    (r"unrecognized bpf_ld_imm64 insn|invalid bpf_ld_imm64 insn", "this kernel is too old for a kind of constant in it"),
    (r"attach_btf_id (\d+) is not a (?:function|kernel function)", "what it shall attach to is not a kernel function"),
    (r"fd \d+ is not pointing to valid bpf_map", "a map that it uses is not there"),
    (r"math between pkt pointer|invalid access to packet", "the packet is read without a check that it is so long"),
)  # fmt: skip

_WITHOUT_LOG = {
    7: "it has more instructions than the kernel takes",  # E2BIG
    12: "the kernel has no memory for it",  # ENOMEM
    22: "it is of a kind, or wants something, that this kernel does not know",  # EINVAL
    524: "this kernel does not support what it wants",  # ENOTSUPP
}


def explain(complaint: list[str], errno: int) -> str:
    """Return one sentence for a complaint; the verifier's own words when they are in no table."""
    text = "\n".join(complaint)
    for pattern, words in _TABLE:
        found = re.search(pattern, text)
        if found:
            return " ".join(words.format(*(group or "" for group in found.groups())).split())
    if complaint:
        return complaint[-1]
    import os

    return _WITHOUT_LOG.get(errno) or f"{os.strerror(errno)}, without a word why"
