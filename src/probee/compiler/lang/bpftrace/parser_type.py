"""Types as written in the text: `struct x *`, `uint8[4]`, `typeof(…)`, and deciding whether something is a type at all."""

from __future__ import annotations

from probee.compiler.lang.bpftrace.ast import ArrayType, Expr, Identifier, NamedType, PointerType, TypeName, TypeOf
from probee.compiler.lang.bpftrace.literal import integer_text, to_uint
from probee.compiler.lang.bpftrace.scanner import MAX_DEPTH, WORD_START, Scanner
from probee.errors import make_span

TAGS = frozenset(("struct", "union", "enum"))
_BOOLS = ("true", "false")

#: Names that are types of the language itself; any other bare name may be a typedef or a value.
TYPE_NAMES = frozenset(
    (
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "void", "string", "buffer",
        "inet", "min_t", "max_t", "sum_t", "count_t", "avg_t", "stats_t", "umin_t", "umax_t", "usum_t", "uavg_t",
        "ustats_t", "timestamp", "macaddr_t", "cgroup_path_t", "username_t"
    )
)  # fmt: skip

#: Names that are always values, whatever a program defines (plus argN and sargN; see is_builtin).
_BUILTINS = frozenset(
    (
        "args", "ctx", "kstack", "nsecs", "pid", "tid", "ustack", "__builtin_comm", "__builtin_cpid", "__builtin_cpu",
        "__builtin_dw_ustack", "__builtin_elapsed", "__builtin_func", "__builtin_ncpus", "__builtin_probe",
        "__builtin_retval", "__builtin_usermode"
    )
)  # fmt: skip

#: Names that the standard library defines as values. They matter only before an operator that could also be a prefix:
#: `(cpu) - 1` subtracts, `(u32) -1` casts.
_LIBRARY_VALUES = frozenset(
    (
        "cgroup", "comm", "cpid", "cpu", "curtask", "dw_ustack", "elapsed", "func", "gid", "has_cpid", "jiffies",
        "leader_comm", "leader_tid", "ncpus", "numaid", "pcomm", "ppid", "probe", "probetype", "rand", "retval",
        "uid", "usermode", "username"
    )
)  # fmt: skip


def is_builtin(name: str) -> bool:
    """Say whether the parser itself takes a name for a value."""
    if name in _BUILTINS:
        return True
    digits = name[4:] if name.startswith("sarg") else name[3:] if name.startswith("arg") else ""
    return digits.isdecimal()


def is_value(s: Scanner, name: str) -> bool:
    """Say whether a bare name is known to be a value: builtin, standard library, or #defined in the preamble."""
    return name in _LIBRARY_VALUES or name in s.constants or is_builtin(name)


def type_name(s: Scanner) -> TypeName:
    """Take a type (not typeof), or fail."""
    s.skip()
    start = s.at
    name = s.expect_word("expected type name")
    tag = ""
    if name in TAGS:
        tag, name = name, s.expect_word("expected identifier")
    return _suffixes(s, NamedType(make_span(start, s.at), name, tag))


def _suffixes(s: Scanner, base: TypeName) -> TypeName:
    """Take any mix of `*` and `[N]`; layout behind the last one is not taken."""
    depth = 0
    first = base.span >> 24
    while True:
        mark = s.at
        depth += 1
        if depth > MAX_DEPTH:
            raise s.unexpected(f"type of more than {MAX_DEPTH} levels")
        s.skip()
        c = s.text[s.at]
        if c == "*":
            s.at += 1
            base = PointerType(make_span(first, s.at), base)
        elif c == "[":
            s.at += 1
            size = _array_size(s)
            s.expect("]")
            base = ArrayType(make_span(first, s.at), base, size)
        else:
            s.at = mark
            return base


def _array_size(s: Scanner) -> int | None:
    s.skip()
    start = s.at
    text = integer_text(s)
    if not text:
        return None
    try:
        return to_uint(text)
    except ValueError as error:
        raise s.error(str(error), start, s.at) from None


def try_type(s: Scanner) -> TypeName | None:
    """Take a type if one follows; else take nothing and return None."""
    mark = s.at
    s.skip()
    if _reference_end(s) is None:
        s.at = mark
        return None
    return type_name(s)


def _reference_end(s: Scanner) -> int | None:
    """Return where the type that starts right here would end, layout behind it included; None if it is none."""
    word = s.peek_word()
    if not word or word in _BOOLS or is_builtin(word):
        return None
    at = s.layout_end(s.at + len(word))
    if word in TAGS:
        if s.text[at] not in WORD_START:
            return None
        at = s.layout_end(s.word_end(at))
    while True:
        if s.text[at] == "*":
            at = s.layout_end(at + 1)
        elif s.text[at] == "[":
            at = _size_end(s, at)
            if at < 0:
                return None
        else:
            return at


def _size_end(s: Scanner, at: int) -> int:
    """Return where `[N]` and layout end, -1 if what is between the brackets is not one number."""
    at = s.layout_end(at + 1)
    if s.text[at] != "]":
        end = s.word_end(at)
        if end == at or s.text[at] in WORD_START:
            return -1
        at = s.layout_end(end)
    return s.layout_end(at + 1) if s.text[at] == "]" else -1


def type_of(s: Scanner) -> TypeOf:
    """Take `typeof(expression or type)`; the position is at the keyword."""
    start = s.at
    s.match_word("typeof")
    s.expect("(")
    operand = type_or_expression(s, ")")
    s.expect(")")
    return TypeOf(make_span(start, s.at), operand)


def annotation(s: Scanner) -> TypeName:
    """Take a type where only a type may stand: a type or typeof."""
    s.skip()
    return type_of(s) if s.peek_word() == "typeof" else type_name(s)


def type_or_expression(s: Scanner, terminators: str = ";,=){}") -> Expr | TypeName:
    """Take what sizeof and its relatives accept.

    A bare name that is no type of the language comes back as Identifier: only resolve can know.
    """
    from probee.compiler.lang.bpftrace.parser_expression import expression  # which imports this module

    s.skip()
    word = s.peek_word()
    if word == "typeof":
        return type_of(s)
    end = _reference_end(s)
    if end is None or s.text[end] not in terminators or s.text.startswith("==", end):
        return expression(s)
    start = s.at
    if word in TAGS or word in TYPE_NAMES or s.text[s.layout_end(start + len(word))] in "*[":
        return type_name(s)
    s.at += len(word)
    return Identifier(make_span(start, s.at), word)
