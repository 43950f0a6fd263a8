"""The yardstick: LLVM's BPF target on the same IR as our code generator.

The IR goes over as it was lowered, before any pass of ours, through LLVM's whole -O2 pipeline (-mcpu=v3), in a child
process, since its back end aborts on what it does not like.  Out come instructions with the references that our own have,
so that the interpreter and the kernel can run both.  Needs llvmlite (a development dependency); `python
benchmarks/llvm.py` prints the comparison for the corpus of tests/ir_corpus.py.
"""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable

from probee.compiler.ir import op
from probee.compiler.ir.type import BOOL, VOID, Type
from probee.compiler.ir.unit import Block, Function, Unit, Value, connect, number
from probee.formats.insn.encode import decode
from probee.formats.insn.insn import Insn, slot_offsets
from probee.formats.insn.opcode import OP_LD_IMM64, PSEUDO_FUNC, PSEUDO_MAP_FD, PSEUDO_MAP_VALUE
from probee.formats.insn.ref import ConstRef, MapRef, MapValueRef
from probee.model.helper import helper_id

LAYOUT = "e-m:e-p:64:64-i64:64-i128:128-n32:64-S128"


class LlvmRefused(Exception):
    """LLVM's back end gave up."""


# -- IR to LLVM's


class Writer:
    """Writes one unit's functions as LLVM assembly."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.names: set[str] = set()

    def run(self) -> str:
        functions = [self._function(function) for function in self.unit.programs[0].functions]
        globals = [f'@"{name}" = external global [0 x i8]' for name in sorted(self.names)]
        head = [f'target datalayout = "{LAYOUT}"', 'target triple = "bpfel"']
        head.append("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
        head.append("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)")
        head += [f"declare i{bits} @llvm.bswap.i{bits}(i{bits})" for bits in (16, 32, 64)]
        return "\n".join([*head, *globals, *functions])

    def _function(self, function: Function) -> str:
        connect(function)
        number(function)
        self.extra = 0
        kind = "" if function.kind == "program" else "internal "
        parameters = ", ".join(f"{_type(type)} %p{index}" for index, type in enumerate(function.parameters))
        lines = [f"define {kind}{_type(function.result)} @{function.name}({parameters}) noinline nounwind {{"]
        for block in function.blocks:
            lines.append(f"b{block.id}:")
            for value in block.values:
                lines += self._value(value, block)
        return "\n".join([*lines, "}"])

    def _value(self, value: Value, block: Block) -> list[str]:
        operation = value.op
        if operation in _BINARY:
            left, right = value.args
            return [f"%v{value.id} = {_BINARY[operation]} {_type(left.type)} {self.ref(left)}, {self.ref(right)}"]
        rule: Callable[[Value, Block], list[str]] | None = getattr(self, f"_{operation}", None)
        if rule is None:
            raise LlvmRefused(f"{operation} is not written")
        return rule(value, block)

    def ref(self, value: Value) -> str:
        """Return an operand, constants in place."""
        if value.op == op.CONST:
            return "null" if value.type.is_pointer else str(value.attr)
        if value.op in (op.MAP, op.CALLBACK):
            return f"""@"{'map_' if value.op == op.MAP else ''}{value.attr}\""""
        return f"%p{value.attr}" if value.op == op.PARAM else f"%v{value.id}"

    def typed(self, value: Value) -> str:
        return f"{_type(value.type)} {self.ref(value)}"

    def new(self) -> str:
        self.extra += 1
        return f"%x{self.extra}"

    def at(self, base: Value, offset: int) -> tuple[list[str], str]:
        name = self.new()
        return [f"{name} = getelementptr i8, ptr {self.ref(base)}, i64 {offset}"], name

    def _nothing(self, value: Value, block: Block) -> list[str]:
        return []

    _const = _param = _callback = _unroll = _nothing

    def _map(self, value: Value, block: Block) -> list[str]:
        self.names.add(f"map_{value.attr}")
        return []

    def _map_value(self, value: Value, block: Block) -> list[str]:
        name, offset = value.attr
        self.names.add(f"value_{name}")
        return [f'%v{value.id} = getelementptr i8, ptr @"value_{name}", i64 {offset}']

    def _late(self, value: Value, block: Block) -> list[str]:
        self.names.add(f"late_{value.attr}")
        return [f'%v{value.id} = ptrtoint ptr @"late_{value.attr}" to i64']

    def _undef(self, value: Value, block: Block) -> list[str]:
        return [f"%v{value.id} = freeze {_type(value.type)} undef"]

    def _cast(self, value: Value, block: Block) -> list[str]:
        name = {op.ADDRESS: "ptrtoint", op.POINTER: "inttoptr"}.get(value.op, value.op)
        return [f"%v{value.id} = {name} {self.typed(value.args[0])} to {_type(value.type)}"]

    _zext = _sext = _trunc = _address = _pointer = _cast

    def _bswap(self, value: Value, block: Block) -> list[str]:
        bits = value.type.bits
        return [f"%v{value.id} = call i{bits} @llvm.bswap.i{bits}(i{bits} {self.ref(value.args[0])})"]

    def _offset(self, value: Value, block: Block) -> list[str]:
        base, by = value.args
        return [f"%v{value.id} = getelementptr i8, ptr {self.ref(base)}, i64 {self.ref(by)}"]

    def _non_null(self, value: Value, block: Block) -> list[str]:
        return [f"%v{value.id} = getelementptr i8, ptr {self.ref(value.args[0])}, i64 0"]

    def _alloca(self, value: Value, block: Block) -> list[str]:
        return [f"%v{value.id} = alloca [{value.attr.size} x i8], align 8"]

    def _load(self, value: Value, block: Block) -> list[str]:
        code, place = self.at(value.args[0], value.attr)
        if value.type.space in ("packet", "packet_end"):  # u32 fields of the context
            small, wide = self.new(), self.new()
            code += [f"{small} = load i32, ptr {place}, align 4", f"{wide} = zext i32 {small} to i64"]
            return [*code, f"%v{value.id} = inttoptr i64 {wide} to ptr"]
        return [*code, f"%v{value.id} = load {_type(value.type)}, ptr {place}, align {value.type.size}"]

    _load_context = _load_trusted = _load

    def _store(self, value: Value, block: Block) -> list[str]:
        code, place = self.at(value.args[0], value.attr)
        return [*code, f"store {self.typed(value.args[1])}, ptr {place}, align {value.args[1].type.size}"]

    def _copy(self, value: Value, block: Block) -> list[str]:
        to_offset, from_offset, size = value.attr
        code, to = self.at(value.args[0], to_offset)
        more, source = self.at(value.args[1], from_offset)
        align = f"align {min(8, to_offset & -to_offset or 8)}", f"align {min(8, from_offset & -from_offset or 8)}"
        call = f"call void @llvm.memcpy.p0.p0.i64(ptr {align[0]} {to}, ptr {align[1]} {source}, i64 {size}, i1 false)"
        return [*code, *more, call]

    def _zero(self, value: Value, block: Block) -> list[str]:
        offset, size = value.attr
        code, place = self.at(value.args[0], offset)
        align = min(8, offset & -offset or 8)
        return [*code, f"call void @llvm.memset.p0.i64(ptr align {align} {place}, i8 0, i64 {size}, i1 false)"]

    def _atomic(self, value: Value, block: Block) -> list[str]:
        operation, offset, fetch = value.attr
        code, place = self.at(value.args[0], offset)
        name = f"%v{value.id}" if fetch else self.new()
        order = "seq_cst" if fetch else "monotonic"
        return [*code, f"{name} = atomicrmw {operation} ptr {place}, {self.typed(value.args[1])} {order}"]

    def _check_null(self, value: Value, block: Block) -> list[str]:
        return [f"%v{value.id} = icmp ne ptr {self.ref(value.args[0])}, null"]

    def _check_packet(self, value: Value, block: Block) -> list[str]:
        code, end = self.at(value.args[0], value.attr)
        return [*code, f"%v{value.id} = icmp ule ptr {end}, {self.ref(value.args[1])}"]

    def _bound(self, value: Value, block: Block) -> list[str]:
        test = self.new()
        number = self.ref(value.args[0])
        return [
            f"{test} = icmp ule i64 {number}, {value.attr}",
            f"%v{value.id} = select i1 {test}, i64 {number}, i64 {value.attr}",
        ]

    def _helper(self, value: Value, block: Block) -> list[str]:
        return [self._called(value, f"inttoptr (i64 {helper_id(value.attr)} to ptr)")]

    def _call(self, value: Value, block: Block) -> list[str]:
        return [self._called(value, f"@{value.attr}")]

    def _called(self, value: Value, callee: str) -> str:
        args = ", ".join(self.typed(arg) for arg in value.args)
        result = "" if value.type is VOID else f"%v{value.id} = "
        return f"{result}call {_type(value.type)} {callee}({args})"

    def _phi(self, value: Value, block: Block) -> list[str]:
        pairs = zip(value.args, block.predecessors, strict=True)
        ways = ", ".join(f"[ {self.ref(arg)}, %b{before.id} ]" for arg, before in pairs)
        return [f"%v{value.id} = phi {_type(value.type)} {ways}"]

    def _jump(self, value: Value, block: Block) -> list[str]:
        return [f"br label %b{value.attr.id}"]

    def _branch(self, value: Value, block: Block) -> list[str]:
        then, otherwise = value.attr
        return [f"br i1 {self.ref(value.args[0])}, label %b{then.id}, label %b{otherwise.id}"]

    def _return(self, value: Value, block: Block) -> list[str]:
        return [f"ret {self.typed(value.args[0])}" if value.args else "ret i64 0"]


_BINARY = {
    op.ADD: "add", op.SUB: "sub", op.MUL: "mul", op.AND: "and", op.OR: "or", op.XOR: "xor", op.SHL: "shl",
    op.LSHR: "lshr", op.ASHR: "ashr", op.UDIV: "udiv", op.UREM: "urem", op.SDIV: "sdiv", op.SREM: "srem",
    **{comparison: f"icmp {comparison}" for comparison in op.COMPARISONS},
}  # fmt: skip


def _type(type: Type) -> str:
    if type is VOID:
        return "void"
    if type is BOOL:
        return "i1"
    return f"i{type.bits}" if type.is_int else "ptr"


# -- LLVM's object to our instructions


def compile_text(text: str, *, cpu: str = "v3") -> list[Insn]:
    """Return what LLVM makes of the text.  LlvmRefused with its last words when it aborts."""
    child = subprocess.run([sys.executable, __file__, "--child", cpu], input=text.encode(), capture_output=True, check=False)
    if child.returncode or child.stderr:
        raise LlvmRefused(child.stderr.decode(errors="replace").strip().splitlines()[-1:])
    return read_object(child.stdout)


def child(cpu: str) -> None:
    """Compile standard input to an object on standard output."""
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple("bpfel").create_target_machine(cpu=cpu, opt=2, reloc="pic")
    module = llvm.parse_assembly(sys.stdin.read())
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    sys.stdout.buffer.write(machine.emit_object(module))


def read_object(data: bytes) -> list[Insn]:
    """Return the instructions of an object's .text, its relocations turned into references."""
    sections = _sections(data)
    text = next(index for index, section in enumerate(sections) if section[0] == ".text")
    insns = decode(sections[text][1])
    at = dict(zip(slot_offsets(insns), insns, strict=False))
    symbols = next(section for section in sections if section[2] == 2)
    names = sections[symbols[3]][1]
    for section in sections:
        if section[2] != 9 or section[4] != text:  # SHT_REL
            continue
        for offset, info in struct.iter_unpack("<QQ", section[1]):
            entry = struct.unpack_from("<IBBHQQ", symbols[1], (info >> 32) * 24)
            name = names[entry[0] : names.index(b"\0", entry[0])].decode()
            _apply(at[offset // 8], offset // 8, name, entry[3] == text, entry[4] // 8)
    return insns


def _sections(data: bytes) -> list[tuple[str, bytes, int, int, int]]:
    """Return (name, contents, type, link, info) of each section."""
    start, size, count, names = struct.unpack_from("<Q", data, 40)[0], *struct.unpack_from("<HHH", data, 58)
    rows = [struct.unpack_from("<IIQQQQIIQQ", data, start + index * size) for index in range(count)]
    text = data[rows[names][4] :]
    return [
        (text[row[0] : text.index(b"\0", row[0])].decode(), data[row[4] : row[4] + row[5]], row[1], row[6], row[7])
        for row in rows
    ]


def _apply(insn: Insn, slot: int, name: str, local: bool, start: int) -> None:
    if insn.op != OP_LD_IMM64:
        insn.imm = start + insn.imm - slot if local else insn.imm
    elif local:
        insn.src = PSEUDO_FUNC
        insn.imm = (start + insn.imm // 8 - slot - 1) & 0xFFFF_FFFF
    elif name.startswith("map_"):
        insn.src, insn.ref = PSEUDO_MAP_FD, MapRef(name[4:])
    elif name.startswith("value_"):
        insn.src, insn.ref = PSEUDO_MAP_VALUE, MapValueRef(name[6:], insn.imm)
        insn.imm <<= 32
    else:
        insn.ref = ConstRef(name[5:])


def compile_unit(unit: Unit, *, cpu: str = "v3") -> list[Insn]:
    """Return LLVM's instructions for the first program of a unit without reads of kernel memory."""
    return compile_text(Writer(unit).run(), cpu=cpu)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2])
    else:
        from compare import main

        main()
