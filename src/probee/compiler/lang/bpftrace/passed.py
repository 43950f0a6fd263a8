"""`args` of uprobes: a function's parameters by name, as debug information describes them, where callers put them.

As a struct, `args` has them behind one another, though nowhere in memory are they so.  `args.x` reads the registers or the
stack for that one; `args` as a whole is put together in memory of ours first.  Both hold where a function begins, only.
"""

from __future__ import annotations

from probee.compiler.ir.type import I64, int_type
from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.lower_context import context_of, layout
from probee.compiler.lang.bpftrace.place import Place
from probee.errors import CompileError, ProbeeError, Unsupported
from probee.model import ctype as c

TYPE_CHECKING = False
if TYPE_CHECKING:
    from probee.compiler.lang.bpftrace.lower import Lowerer
    from probee.compiler.lang.bpftrace.scope import Instance, Script
    from probee.model.ctype import FunctionType
    from probee.model.target import Binary
    from probee.probes.passing import Passed
    from probee.probes.probe import Probe

_WORD = 8
STACK, VECTOR = "stack", "vector"  # probes.passing's, which takes a while to import


class PassedMember(c.Member):
    """A parameter; its offset is where it lies in `args` as a whole."""

    __slots__ = ("passed",)

    def __init__(self, passed: Passed, name: str, type: c.CType, offset: int) -> None:
        super().__init__(name, type, offset * 8)
        self.passed = passed


def arguments_of(script: Script, instance: Instance, span: int) -> c.StructType:
    """Return the parameters of an instance's function as a struct; CompileError that says why there is none."""
    from probee.probes.passing import passed_arguments

    point = instance.point
    binary = point.binary
    if binary is None or not point.function:
        message = f"args is known where a function begins, and {point.name} is another place"
        raise CompileError(message, span, hint="Probe the function by its name, or read registers: reg(), arg0, ….")
    signature = _signature(binary, point, span)
    script.builds[binary.path] = binary.build_id
    if point.offset:
        script.warn(f"{point.name} is not where its function begins: what was in args may have been overwritten", span)
    return arguments_struct(point.function, passed_arguments(signature, script.target.arch))


def _signature(binary: Binary, point: Probe, span: int) -> FunctionType:
    """Return the signature of a point's function; all functions of that name must have the same."""
    try:
        found, special = binary.signatures(point.function), binary.convention(point.function)
    except (ProbeeError, OSError) as error:
        hint = "The argument registers need none: arg0, arg1 …."
        raise CompileError(f"args of {point.name} is not known: {error}", span, hint=hint) from None
    if not found:
        message = f"args of {point.name} is not known: the debug information of {point.path} does not describe the function"
        raise CompileError(message, span, hint="Compile the file that has it with -g; arg0, arg1 … need none.")
    if special:
        message = f"args of {point.name} is not known: {special}"
        raise CompileError(message, span, hint="Look at its code for what is in which register: reg().")
    if len({signature.spelling("f") for signature in found}) > 1:
        message = f"{point.path} has {len(found)} functions {point.function}, and their parameters are not the same"
        raise CompileError(message, span, hint="Probe one of them by its address.")
    return found[0]


def arguments_struct(name: str, arguments: tuple[Passed, ...]) -> c.StructType:
    """Return parameters as a struct, aligned as C aligns; what is passed by its address is a pointer."""
    members: list[c.Member] = []
    offset, largest = 0, 1
    for index, passed in enumerate(arguments):
        type = c.PointerType(passed.type, tag="user") if passed.by_reference else _as_user(passed.type)
        align = t.align_of(type)
        offset, largest = -(-offset // align) * align, max(largest, align)
        members.append(PassedMember(passed, passed.name or f"arg{index}", type, offset))
        offset += c.size_of(type)
    return c.StructType("struct", f"_arguments_{name}", -(-offset // largest) * largest, tuple(members))


def _as_user(type: c.CType) -> c.CType:
    """Say of a pointer that it is one of a program, which it is wherever it is kept."""
    bare = c.strip(type)
    if isinstance(bare, c.PointerType) and not bare.tag:
        return c.PointerType(lambda: bare.target, tag="user", const=bare.const)
    return type


def is_args(node: ast.Expr) -> bool:
    """Return whether an expression is `args` of a uprobe."""
    struct = node.type.ctype if node.type.kind == "struct" and node.type.space == "context" else None
    if struct is None or not struct.members or not isinstance(struct.members[0], PassedMember):
        return False
    return isinstance(node, ast.Identifier) or (isinstance(node, ast.Deref) and is_args(node.operand))


def is_argument(node: ast.Expr) -> bool:
    """Return whether an expression is a struct in `args`, by name."""
    if not isinstance(node, ast.Field) or not isinstance(node.meaning, tuple) or not is_args(node.operand):
        return False
    return node.type.kind == "struct" and isinstance(node.meaning[-1], PassedMember)


# -- reading


def value(low: Lowerer, where: Place, member: PassedMember) -> Value:
    """Return a scalar parameter, an i64 extended by its sign or a pointer; `where` is in the context."""
    b, type = low.b, where.type
    _require_readable(low, member)
    kind, number = member.passed.pieces[0]
    if kind == STACK:
        return place.load(b, Place(_stack(low, where.base, number), 0, type))
    raw = _register(low, where.base, number)
    if type.kind == "pointer":
        return b.pointer(raw, type.space if type.space in ("kernel", "user") else "user")
    if type.kind == "bool":
        return b.zext(b.compare("ne", b.and_(raw, 0xFF), 0), I64)
    return b.resize(b.trunc(raw, int_type(type.size)), I64, signed=type.signed)


def part(low: Lowerer, node: ast.Field, operand: ast.Field) -> Place:
    """Return where an argument lies of which a field is read: what is beside that need not be readable."""
    member, start = operand.meaning[-1], sum(step.bit_offset for step in node.meaning) // 8
    where = Place(context_of(low, operand.operand), 0, operand.type)
    return memory(low, where, member, range(start // _WORD, -(-(start + max(node.type.size, 1)) // _WORD)))


def memory(low: Lowerer, where: Place, member: PassedMember, words: range | None = None) -> Place:
    """Return where a struct or array lies that is passed by value: on the stack, or put there out of its registers.

    Of those only some of its `words` may be wanted.
    """
    if words is None or any(kind == VECTOR for kind, _ in member.passed.pieces[words.start : words.stop]):
        _require_readable(low, member)
    pieces = member.passed.pieces
    if pieces and pieces[0][0] == STACK:
        return Place(_stack(low, where.base, pieces[0][1]), 0, where.type)
    made = place.alloca(low.b, where.type)
    for index, (kind, number) in enumerate(pieces):
        if kind == VECTOR:
            continue
        low.b.store(made.base, _register(low, where.base, number), index * _WORD)
    return made


def together(low: Lowerer, node: ast.Expr) -> Place:
    """Return `args` as a whole, in memory of ours."""
    struct = node.type.ctype
    assert struct is not None
    context = context_of(low, node)
    made = place.alloca(low.b, node.type)
    place.zero(low.b, made)
    for member in struct.members:
        assert isinstance(member, PassedMember)
        if not member.passed.pieces:
            continue
        type = t.from_ctype(member.type, "user")
        where, source = made.at(member.offset, type), Place(context, 0, type)
        if type.kind == "none":
            low.script.warn(f"args.{member.name} is a floating-point number: it is left out of args as a whole", node.span)
        elif type.is_scalar:
            place.store(low.b, where, value(low, source, member))
        else:
            place.copy(low.b, where, memory(low, source, member), padded=True)
    return made


def _require_readable(low: Lowerer, member: PassedMember) -> None:
    if member.passed.in_vector:
        what = f"args.{member.name} ({member.passed.type.spelling()})"
        raise Unsupported(f"{what} comes in {member.passed.where}: a probe cannot read vector registers", low.b.span)


def _register(low: Lowerer, context: Value, number: int) -> Value:
    return low.b.load_context(context, I64, layout(low).arguments[number])


def _stack(low: Lowerer, context: Value, number: int) -> Value:
    """Return a pointer to a slot of the caller's stack."""
    registers = layout(low)
    stack = low.b.pointer(low.b.load_context(context, I64, registers.stack_pointer), "user")
    return low.b.offset(stack, registers.stack_argument_offset(number))
