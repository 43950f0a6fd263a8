"""What is legal of each operation: one rule per operation, in the order of op.py's groups.

A rule sees one value in its place (`Checker`) and raises IllegalIr when its type, its arguments or its attribute are not
what op.py says.  verify.py walks the function and looks at its structure.
"""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.ir import op
from probee.compiler.ir.show import show_function, show_value
from probee.compiler.ir.type import BOOL, DIRECT, FUNCTION, I32, I64, MAP, VOID, Type
from probee.compiler.ir.unit import Block, Function, Slot, Unit, Value
from probee.errors import ProbeeError

N_ARGUMENTS_MAX = 5


class IllegalIr(ProbeeError):
    """A front end or a pass has made IR that means nothing: an error of probee's, never of the user's."""

    def __init__(self, function: Function, block: Block, value: Value | None, message: str) -> None:
        text = show_function(function)  # numbers everything
        where = f"b{block.id}" + (f": {show_value(value)}" if value is not None else "")
        super().__init__(f"internal error: illegal IR in {function.name}, {where}: {message}; please report it\n{text}")
        self.reason = message


class Checker:
    """Where a rule looks, and how it objects."""

    def __init__(self, function: Function, functions: dict[str, Function] | None, unit: Unit | None) -> None:
        self.function = function
        self.functions = functions
        self.unit = unit
        self.block = function.entry
        self.dominators: dict[Block, set[Block]] = {}

    def fail(self, value: Value, message: str) -> None:
        raise IllegalIr(self.function, self.block, value, message)

    def want(self, value: Value, condition: bool, message: str) -> None:
        if not condition:
            raise IllegalIr(self.function, self.block, value, message)


# -- the rules, in the order of op.py's groups


def _args(check: Checker, value: Value, n: int) -> None:
    check.want(value, len(value.args) == n, f"takes {n} arguments")


def _const(check: Checker, value: Value) -> None:
    _args(check, value, 0)
    kind = value.type.kind
    check.want(value, kind in ("int", "bool", "pointer"), "a constant is an int, a bool or null")
    check.want(value, isinstance(value.attr, int), "its number is not an int")
    check.want(value, 0 <= value.attr < 1 << value.type.bits, "its number does not fit its type, unsigned")
    check.want(value, kind != "pointer" or (value.attr == 0 and value.type.nullable), "the only constant pointer is null")


def _map(check: Checker, value: Value) -> None:
    _args(check, value, 0)
    check.want(value, value.type is MAP, "is a map handle")
    _known_map(check, value, value.attr)


def _map_value(check: Checker, value: Value) -> None:
    _args(check, value, 0)
    check.want(value, value.type.space == "map" and not value.type.nullable, "is a pointer to a map's value")
    name, offset = value.attr
    _known_map(check, value, name)
    if check.unit is not None:
        check.want(value, 0 <= offset < check.unit.maps[name].value_size, "its offset is outside the map's value")


def _known_map(check: Checker, value: Value, name: object) -> None:
    check.want(value, check.unit is None or name in check.unit.maps, f"there is no map {name!r}")


def _late(check: Checker, value: Value) -> None:
    _args(check, value, 0)
    check.want(value, value.type is I64, "a late constant is an i64")
    check.want(value, check.unit is None or value.attr in check.unit.constants, f"there is no late constant {value.attr!r}")


def _callback(check: Checker, value: Value) -> None:
    _args(check, value, 0)
    check.want(value, value.type is FUNCTION, "is a function")
    if check.functions is not None:
        target = check.functions.get(value.attr)
        check.want(value, target is not None and target.kind == "callback", f"there is no callback {value.attr!r}")


def _ksym(check: Checker, value: Value) -> None:
    _args(check, value, 0)
    check.want(value, value.type.space in ("percpu", "trusted") and not value.type.nullable, "points to percpu or trusted")


def _undef(check: Checker, value: Value) -> None:
    _args(check, value, 0)
    check.want(value, value.type is not VOID, "has a type")


def _param(check: Checker, value: Value) -> None:
    _args(check, value, 0)
    parameters = check.function.parameters
    check.want(value, 0 <= value.attr < len(parameters), "there is no such parameter")
    check.want(value, value.type is parameters[value.attr], f"the parameter is of type {parameters[value.attr]}")


def _arithmetic(check: Checker, value: Value) -> None:
    _args(check, value, 2)
    logical = value.type is BOOL and value.op in (op.AND, op.OR, op.XOR)
    check.want(value, value.type.is_int or logical, "is an int")
    for arg in value.args:
        check.want(value, arg.type is value.type, f"an operand is {arg.type}, the result {value.type}")


def _comparison(check: Checker, value: Value) -> None:
    _args(check, value, 2)
    left, right = value.args[0].type, value.args[1].type
    check.want(value, value.type is BOOL, "is a bool")
    both = left.is_pointer and right.is_pointer
    check.want(value, left.is_int or left is BOOL or both, f"does not compare {left}")
    if both:
        check.want(value, _comparable(value, left, right), f"pointers to {left.space} and {right.space} do not compare")
    else:
        check.want(value, left is right, f"compares {left} with {right}")


def _comparable(value: Value, left: Type, right: Type) -> bool:
    if left.space == right.space:
        return True
    if any(arg.op == op.CONST for arg in value.args):
        return value.op in (op.EQ, op.NE)
    return {left.space, right.space} in ({"packet", "packet_end"}, {"trusted", "kernel"})


def _extension(check: Checker, value: Value) -> None:
    _args(check, value, 1)
    source = value.args[0].type
    check.want(value, value.type.is_int, "is an int")
    check.want(value, source.is_int or (source is BOOL and value.op == op.ZEXT), f"does not extend {source}")
    check.want(value, source.bits < value.type.bits, f"{source} is not narrower than {value.type}")


def _truncation(check: Checker, value: Value) -> None:
    _args(check, value, 1)
    check.want(value, value.type.is_int and value.args[0].type.is_int, "is for ints")
    check.want(value, value.args[0].type.bits > value.type.bits, f"{value.args[0].type} is not wider than {value.type}")


def _bswap(check: Checker, value: Value) -> None:
    _args(check, value, 1)
    check.want(value, value.type.is_int and value.type.bits > 8, "is for i16, i32 and i64")
    check.want(value, value.args[0].type is value.type, "keeps the type")


def _offset(check: Checker, value: Value) -> None:
    _args(check, value, 2)
    base, by = value.args
    check.want(value, value.type.is_pointer and not value.type.nullable, "is a pointer, never null")
    check.want(value, base.type is value.type, f"goes from {base.type} to {value.type}")
    check.want(value, by.type is I64, "the offset is an i64")
    if value.type.space in ("trusted", "percpu", "packet_end"):
        check.want(value, by.op == op.CONST and value.type.space != "packet_end", "only constant offsets are provable here")


def _address(check: Checker, value: Value) -> None:
    _args(check, value, 1)
    check.want(value, value.type is I64 and value.args[0].type.is_pointer, "makes an i64 of a pointer")


def _pointer(check: Checker, value: Value) -> None:
    _args(check, value, 1)
    check.want(value, value.args[0].type is I64, "makes a pointer of an i64")
    check.want(value, value.type.space in ("kernel", "user", "own"), "points to kernel, user or some memory of ours")
    check.want(value, value.type.space == "own" or not value.type.nullable, "is never null")


def _distance(check: Checker, value: Value) -> None:
    _args(check, value, 2)
    spaces = {arg.type.space for arg in value.args}
    check.want(value, value.type is I64 and spaces <= {"packet", "packet_end"}, "is between packet pointers")


def _alloca(check: Checker, value: Value) -> None:
    _args(check, value, 0)
    slot = value.attr
    check.want(value, isinstance(slot, Slot) and slot.size > 0, "reserves a slot of at least one byte")
    check.want(value, slot.align in (1, 2, 4, 8), "is aligned to 1, 2, 4 or 8")
    check.want(value, value.type.space == "stack" and not value.type.nullable, "is a pointer to the stack")


def _reachable(check: Checker, value: Value, base: Value, spaces: frozenset[str]) -> None:
    check.want(value, base.type.is_pointer, f"needs a pointer, not {base.type}")
    check.want(value, not base.type.nullable, "the pointer may be null: check_null and non_null first")
    check.want(value, base.type.space in spaces, f"does not reach {base.type.space} memory")


_READABLE = DIRECT | {"kernel", "user"}
_INT_POINTERS = frozenset(("kernel", "user"))


def _load(check: Checker, value: Value) -> None:
    _args(check, value, 1)
    check.want(value, value.type.is_int or value.type.is_pointer or value.type is BOOL, "loads an int, a bool or a pointer")
    check.want(value, isinstance(value.attr, int), "has no offset")
    _reachable(check, value, value.args[0], _READABLE)


def _store(check: Checker, value: Value) -> None:
    _args(check, value, 2)
    check.want(value, value.type is VOID, "has no result")
    what = value.args[1].type
    check.want(value, what.is_int or what.is_pointer or what is BOOL, f"does not store {what}")
    check.want(value, isinstance(value.attr, int), "has no offset")
    _reachable(check, value, value.args[0], DIRECT)


def _copy(check: Checker, value: Value) -> None:
    _args(check, value, 2)
    _reachable(check, value, value.args[0], DIRECT)
    _reachable(check, value, value.args[1], _READABLE)
    check.want(value, len(value.attr) == 3 and value.attr[2] > 0, "attr is (offset in to, offset in from, size)")


def _zero(check: Checker, value: Value) -> None:
    _args(check, value, 1)
    _reachable(check, value, value.args[0], DIRECT)
    check.want(value, len(value.attr) == 2 and value.attr[1] > 0, "attr is (offset, size)")


def _atomic(check: Checker, value: Value) -> None:
    _args(check, value, 2)
    _reachable(check, value, value.args[0], DIRECT - {"packet"})
    operation, _, fetch = value.attr
    operand = value.args[1].type
    check.want(value, operand in (I32, I64), f"is on i32 or i64, not {operand}")
    check.want(value, operation in ("add", "or", "and", "xor", "xchg"), f"there is no atomic {operation}")
    check.want(value, value.type is (operand if fetch else VOID), "gives the old value when it fetches, else nothing")


def _compare_exchange(check: Checker, value: Value) -> None:
    _args(check, value, 3)
    _reachable(check, value, value.args[0], DIRECT - {"packet"})
    check.want(value, value.type in (I32, I64), "is on i32 or i64")
    check.want(value, value.args[1].type is value.type and value.args[2].type is value.type, "is on one type")


def _load_context(check: Checker, value: Value) -> None:
    _args(check, value, 1)
    base = value.args[0]
    check.want(value, base.type.space == "context", "reads the context only")
    check.want(value, base.op == op.PARAM, "the verifier wants the context pointer itself, not a copy out of a phi")


def _store_context(check: Checker, value: Value) -> None:
    _args(check, value, 2)
    base, what = value.args
    check.want(value, value.type is VOID, "has no result")
    check.want(value, base.type.space == "context" and base.op == op.PARAM, "writes to the context itself only")
    check.want(value, what.type.is_int, f"does not store {what.type}")
    check.want(value, isinstance(value.attr, int), "has no offset")


def _load_trusted(check: Checker, value: Value) -> None:
    _args(check, value, 1)
    _reachable(check, value, value.args[0], frozenset(("trusted", "kernel")))


def _check_packet(check: Checker, value: Value) -> None:
    _args(check, value, 2)
    check.want(value, value.type is BOOL, "is a bool")
    check.want(value, value.args[0].type.space == "packet", "checks a packet pointer")
    check.want(value, value.args[1].type.space == "packet_end", "against the packet's end")
    check.want(value, isinstance(value.attr, int) and 0 < value.attr <= 0xFFFF, "for 1 to 65535 bytes")


def _check_null(check: Checker, value: Value) -> None:
    _args(check, value, 1)
    check.want(value, value.type is BOOL, "is a bool")
    check.want(value, value.args[0].type.is_pointer, "checks a pointer")


def _non_null(check: Checker, value: Value) -> None:
    _args(check, value, 1)
    source = value.args[0]
    check.want(value, value.type.space == source.type.space and not value.type.nullable, "keeps the space")
    if value.attr != op.CLAIMED:
        known = not source.type.nullable or _known_non_null(check, source)
        check.want(value, known, "no check_null that is known true leads here")


def _known_non_null(check: Checker, pointer: Value) -> bool:
    """Return whether a branch on check_null(pointer), or a comparison with null, dominates the current block."""
    block = check.block
    seen = {block}
    while len(block.predecessors) == 1:
        before = block.predecessors[0]
        last = before.values[-1]
        if last.op == op.BRANCH and _proves(last, block, pointer):
            return True
        block = before
        if block in seen:
            break
        seen.add(block)
    return _proved_by_dominator(check, pointer)


def _proved_by_dominator(check: Checker, pointer: Value) -> bool:
    """The general case: some block that only a proving edge enters dominates the current one."""
    for block in check.dominators[check.block]:
        if len(block.predecessors) == 1:
            last = block.predecessors[0].values[-1]
            if last.op == op.BRANCH and _proves(last, block, pointer):
                return True
    return False


def _proves(branch: Value, taken: Block, pointer: Value) -> bool:
    then, otherwise = branch.attr
    if then is otherwise:
        return False
    test = branch.args[0]
    if test.op == op.CHECK_NULL and test.args[0] is pointer:
        return taken is then
    if test.op in (op.EQ, op.NE) and pointer in test.args and any(arg.op == op.CONST for arg in test.args):
        return taken is (then if test.op == op.NE else otherwise)
    return False


def _bound(check: Checker, value: Value) -> None:
    _args(check, value, 1)
    check.want(value, value.type is I64 and value.args[0].type is I64, "is an i64")
    check.want(value, isinstance(value.attr, int) and 0 <= value.attr < 1 << 63, "has a maximum")


def _call(check: Checker, value: Value) -> None:
    check.want(value, len(value.args) <= N_ARGUMENTS_MAX, "takes at most 5 arguments")
    check.want(value, all(arg.type is not VOID for arg in value.args), "an argument has no value")
    if value.op == op.CALL and check.functions is not None:
        target = check.functions.get(value.attr)
        check.want(value, target is not None and target.kind == "subprogram", f"there is no subprogram {value.attr!r}")
        assert target is not None
        n_parameters = len(target.parameters)
        check.want(value, len(value.args) == n_parameters, f"{value.attr} has {n_parameters} parameters")
        for arg, type in zip(value.args, target.parameters, strict=False):
            moved = arg.type.space == "map" and type.space == "stack" and not arg.type.nullable  # by the pass `scratch`
            weaker = type.nullable and arg.type.space == type.space
            check.want(value, arg.type is type or moved or weaker, f"an argument is {arg.type}, the parameter {type}")
        check.want(value, value.type in (target.result, VOID), f"{value.attr} returns {target.result}")


def _phi(check: Checker, value: Value) -> None:
    predecessors = check.block.predecessors
    check.want(value, len(value.args) == len(predecessors), f"has {len(predecessors)} predecessors")
    check.want(value, value.type is not VOID and value.type not in (MAP, FUNCTION), "is an int, a bool or a pointer")
    check.want(value, value.type.space not in ("context", "percpu"), f"no phi of {value.type.space} pointers")
    for arg in value.args:
        same_space = arg.type.is_pointer and arg.type.space == value.type.space
        weaker = same_space and value.type.nullable
        check.want(value, arg.type is value.type or weaker, f"joins {arg.type} into {value.type}")


def _jump(check: Checker, value: Value) -> None:
    _args(check, value, 0)
    check.want(value, isinstance(value.attr, Block), "goes to a block")


def _branch(check: Checker, value: Value) -> None:
    _args(check, value, 1)
    check.want(value, value.args[0].type is BOOL, "is on a bool")
    check.want(value, len(value.attr) == 2, "has two ways")


def _return(check: Checker, value: Value) -> None:
    result = check.function.result
    if result is VOID:
        _args(check, value, 0)
    else:
        check.want(value, len(value.args) <= 1, "returns one value")
        check.want(value, not value.args or value.args[0].type is result, f"the function returns {result}")


def _unroll(check: Checker, value: Value) -> None:
    _args(check, value, 0)
    check.want(value, value.type is VOID and isinstance(value.attr, bool), "has no result, and says whether it must be")


RULES: dict[str, Callable[[Checker, Value], None]] = {
    op.CONST: _const, op.MAP: _map, op.MAP_VALUE: _map_value, op.LATE: _late, op.CALLBACK: _callback,
    op.KSYM: _ksym, op.UNDEF: _undef,
    op.PARAM: _param, **dict.fromkeys(op.ARITHMETIC, _arithmetic), **dict.fromkeys(op.COMPARISONS, _comparison),
    op.ZEXT: _extension, op.SEXT: _extension, op.TRUNC: _truncation, op.BSWAP: _bswap,
    op.OFFSET: _offset, op.ADDRESS: _address, op.POINTER: _pointer, op.DISTANCE: _distance,
    op.ALLOCA: _alloca, op.LOAD: _load, op.STORE: _store, op.COPY: _copy, op.ZERO: _zero, op.ATOMIC: _atomic,
    op.COMPARE_EXCHANGE: _compare_exchange,
    op.LOAD_CONTEXT: _load_context, op.STORE_CONTEXT: _store_context,
    op.LOAD_TRUSTED: _load_trusted, op.CHECK_PACKET: _check_packet, op.CHECK_NULL: _check_null,
    op.NON_NULL: _non_null, op.BOUND: _bound,
    op.HELPER: _call, op.CALL: _call, op.KFUNC: _call,
    op.PHI: _phi, op.JUMP: _jump, op.BRANCH: _branch, op.RETURN: _return, op.UNROLL: _unroll,
}  # fmt: skip
