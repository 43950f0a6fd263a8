"""What is said of programs that parse and mean nothing: a struct where a number belongs, a loop without end, the wrong map.

The lowering asks here when it has found that something does not fit; what fits costs nothing.
"""

from __future__ import annotations

from pycparser import c_ast

from probee.compiler.lang.c.constant import evaluate, span_of
from probee.compiler.lang.c.lower import Lowerer
from probee.compiler.lang.c.unit import MapDeclaration
from probee.compiler.lang.c.value import Operand, is_integer, is_pointer
from probee.errors import CompileError, TypeMismatch, UnknownName
from probee.model.ctype import CType, ForwardType, PointerType, StructType, size_of, strip
from probee.probes.candidate import closest


# -- structs and tags
def no_value(low: Lowerer, node: c_ast.Node) -> CompileError:
    """An expression whose value is needed and which has none."""
    ctype = low.type_of(node)
    if not isinstance(strip(ctype), StructType):
        return CompileError("this has no value: it is void", span_of(node))
    name = node.name if isinstance(node, c_ast.ID) else ""
    hint = f"Give its address, &{name}, or name a member, {name}.{_first_member(ctype)}." if name else ""
    what = f"'{name}'" if name else "this"
    return TypeMismatch(f"{what} is a '{ctype.spelling()}', where a number or a pointer is needed", span_of(node), hint=hint)


def _first_member(ctype: CType) -> str:
    struct = strip(ctype)
    members = struct.members if isinstance(struct, StructType) else ()
    return next((member.name for member in members if member.name), "member")


def no_pointer(low: Lowerer, node: c_ast.StructRef) -> CompileError:
    """`a->b` of what is no pointer."""
    ctype = low.type_of(node.name)
    hint = ": use '.'" if isinstance(strip(ctype), StructType) else ""
    return TypeMismatch(f"'->' needs a pointer to a struct, this is '{ctype.spelling()}'{hint}", span_of(node.name))


def no_such_member(struct: CType, name: str, span: int) -> CompileError:
    """A member that a struct does not have."""
    from probee.compiler.lang.c.suggest import similar_member

    near = similar_member(struct, name) if isinstance(struct, StructType) else ""
    error = UnknownName(f"'{struct.spelling()}' has no member '{name}'", span, did_you_mean=near)
    if isinstance(struct, StructType) and (struct.name, name) in _MOVED:
        error.hint = _MOVED[struct.name, name]
    return error


# Members that are elsewhere in newer kernels, behind another pointer or as something else
_MOVED = {
    ("request", "rq_disk"): "Since Linux 5.17 it is q->disk.",
    ("bio", "bi_disk"): "Since Linux 5.12 it is bi_bdev->bd_disk.",
    ("inode", "i_atime"): "Since Linux 6.11 it is in i_atime_sec and i_atime_nsec.",
    ("inode", "i_mtime"): "Since Linux 6.11 it is in i_mtime_sec and i_mtime_nsec.",
    ("inode", "i_ctime"): "Since Linux 6.11 it is in i_ctime_sec and i_ctime_nsec.",
}


def no_members(low: Lowerer, ctype: CType, span: int) -> CompileError:
    """A member of something that is no struct, or of one that nobody defines."""
    plain = strip(ctype)
    if isinstance(plain, ForwardType):
        return unknown_tag(low, plain, span)
    hint = ": use '->'" if isinstance(plain, PointerType) else ""
    return TypeMismatch(f"'{ctype.spelling()}' has no members{hint}", span)


def unknown_tag(low: Lowerer, tag: ForwardType, span: int) -> CompileError:
    """A struct that neither the program nor the kernel defines."""
    category, _, event = tag.name.removeprefix("tracepoint__").partition("__")
    if event and tag.name.startswith("tracepoint__"):
        return UnknownName(
            f"this kernel has no tracepoint {category}:{event}", span,
            did_you_mean=lambda: ", ".join(closest(f"{category}:{event}", low.target.tracepoints())),
        )  # fmt: skip
    message = f"neither this program nor the kernel defines '{tag.spelling()}'"
    return UnknownName(message, span, did_you_mean=lambda: _similar_tag(low, tag))


_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_"


def _similar_tag(low: Lowerer, tag: ForwardType) -> str:
    """Return a tag that is close: one of the program's, or one of the kernel's at one edit (its tags are never listed)."""
    name = tag.name
    scope, own = low.scope, []
    while scope is not None:
        own += [other for other, ctype in scope.tags.items() if not isinstance(ctype, ForwardType)]
        scope = scope.parent  # type: ignore[assignment]
    near = closest(name, own, 1)
    if near:
        return f"{tag.kind} {near[0]}"
    for at in range(len(name) + 1):
        left, right = name[:at], name[at:]
        tries = [left + right[1:], left + right[1:2] + right[:1] + right[2:], *(left + letter + right for letter in _LETTERS)]
        tries += [left + letter + right[1:] for letter in _LETTERS]
        found = next((other for other in tries if other and other != name and low.target.type_named(tag.kind, other)), "")
        if found:
            return f"{tag.kind} {found}"
    return ""


# -- loops
def check_end(low: Lowerer, test: c_ast.Node | None, body: c_ast.Node, place: c_ast.Node) -> None:
    """Refuse a loop whose condition is always true and whose body never leaves it."""
    if test is not None and not evaluate(test, low.scope):
        return
    if not _leaves(body, inner=False):
        hint = "Programs of BPF must come to an end: give the loop a condition, or break out of it."
        raise CompileError("this loop never ends", span_of(place), hint=hint)


_LOOPS = (c_ast.For, c_ast.While, c_ast.DoWhile, c_ast.Switch)
_LEAVING_METHODS = {"lookup_or_init", "call"}


def _leaves(node: c_ast.Node, *, inner: bool) -> bool:
    """Return whether something in a loop's body ends the loop; a `break` of an inner loop or switch does not."""
    if isinstance(node, (c_ast.Return, c_ast.Goto)):
        return True
    if isinstance(node, c_ast.Break):
        return not inner
    if isinstance(node, c_ast.FuncCall) and isinstance(node.name, c_ast.StructRef) and node.name.field.name in _LEAVING_METHODS:
        return True
    inner = inner or isinstance(node, _LOOPS)
    return any(_leaves(child, inner=inner) for _, child in node.children())


# -- maps
_OUTPUT = {
    "perf_output": ("perf_submit", "perf_submit_skb"),
    "ringbuf": ("ringbuf_output", "ringbuf_reserve", "ringbuf_submit", "ringbuf_discard", "ringbuf_query"),
    "queue": ("push", "pop", "peek"), "stack": ("push", "pop", "peek"), "perf_array": ("perf_read", "perf_counter_value"),
}  # fmt: skip
_KEYED = {"lookup", "lookup_or_init", "lookup_or_try_init", "update", "insert", "delete", "increment", "atomic_increment"}


def check_method(table: MapDeclaration, name: str, span: int) -> None:
    """Refuse a method that this kind of map does not have."""
    own = _OUTPUT.get(table.kind)
    if own is not None and name not in own:
        hint = f"It has {', '.join(f'{method}()' for method in own)}."
        raise TypeMismatch(f"'{table.name}' is a {table.macro}, which has no {name}()", span, hint=hint)
    if own is None and table.sharing != "extern" and any(name in methods for methods in _OUTPUT.values()):
        kinds = " or ".join(f"BPF_{_MACROS[kind]}" for kind, methods in _OUTPUT.items() if name in methods)
        message = f"'{table.name}' is a {table.macro}, which has no {name}()"
        raise TypeMismatch(message, span, hint=f"{name}() is for a {kinds}.")


_MACROS = {
    "perf_output": "PERF_OUTPUT", "ringbuf": "RINGBUF_OUTPUT", "queue": "QUEUE", "stack": "STACK", "perf_array": "PERF_ARRAY",
}  # fmt: skip

# -- helpers
# helper → the arguments that are addresses
_ADDRESSES = {
    "get_current_comm": (0,), "probe_read": (0, 2), "probe_read_str": (0, 2), "probe_read_kernel": (0, 2),
    "probe_read_kernel_str": (0, 2), "probe_read_user": (0, 2), "probe_read_user_str": (0, 2), "get_stackid": (0,),
    "get_stack": (0, 1), "probe_write_user": (0, 1), "perf_event_output": (0, 3), "ringbuf_submit": (0,),
    "ringbuf_discard": (0,), "get_ns_current_pid_tgid": (2,),
    "map_lookup_elem": (1,), "map_update_elem": (1, 2), "map_delete_elem": (1,),
}  # fmt: skip


def check_address(low: Lowerer, name: str, bare: str, index: int, node: c_ast.Node, operand: Operand) -> None:
    """Refuse a small number where a helper wants an address: the & was forgotten."""
    if index not in _ADDRESSES.get(bare, ()) or is_pointer(operand.type) or operand.value.type.is_pointer:
        return
    if not is_integer(operand.type) or size_of(operand.type) >= 8 or evaluate(node, low.scope) == 0:
        return
    hint = f"Give its address: &{node.name}" if isinstance(node, c_ast.ID) else ""
    message = f"argument {index + 1} of {name}() is an address, this is '{operand.type.spelling()}'"
    raise TypeMismatch(message, span_of(node), hint=hint)
