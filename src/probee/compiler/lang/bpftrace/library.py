"""Functions of the language that are macros over others.  Only those that a script mentions are parsed.

Everything that an expansion of them contains, but for the caller's own arguments, is said to stand where the call stands: the
text here is nothing that a user could look at.  Only assert() stands where it stands in bpftrace's own library.
"""

from __future__ import annotations

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace.parser import parse, parse_part
from probee.errors import Source

NAME = "library"

_MACROS = {
    "ppid": "macro ppid() { curtask.real_parent.pid } macro ppid(task) { task.real_parent.pid }",
    "pcomm": "macro pcomm() { curtask.real_parent.comm } macro pcomm(task) { task.real_parent.comm }",
    "leader_tid": "macro leader_tid() { curtask.group_leader.pid } macro leader_tid(task) { task.group_leader.pid }",
    "leader_comm": "macro leader_comm() { curtask.group_leader.comm } macro leader_comm(task) { task.group_leader.comm }",
    "is_err": "macro is_err(pointer) { (uint64)pointer >= 0xfffffffffffff001 }",
    "find": "macro find(@map, key, $value) { if (has_key(@map, key)) { $value = @map[key]; true } else { false } }",
    "container_of": "macro container_of(pointer, type, member) { (type *)((uint64)pointer - offsetof(type, member)) }",
}


_BASE = (
    "stdlib/base.bt",
    """// assert(condition, msg): end the script with status 1,
// saying why, unless the condition holds.
macro assert(condition, msg)
{
  if (!condition) {
    errorf("assert failed: %s", msg);
    exit(1);
  }
}
""",
)


def library_for(source: Source) -> list[tuple[ast.Program, Source]]:
    """Return the macros that a program's text may call, parsed."""
    text = source.text
    wanted = [macro for name, macro in _MACROS.items() if name in text]
    found = []
    if "assert" in text:
        found.append((parse_part(source, *_BASE), source))
    if wanted:
        own = Source(NAME, "\n".join(wanted))
        found.append((parse(own), own))
    return found


def place_expansions(program: ast.Program) -> None:
    """Give what came from here the span of the call that it replaced."""
    for probe in [*program.probes, *program.functions]:
        for node in ast.walk(probe):
            if isinstance(node, ast.Expansion) and node.source is not None and node.source.name == NAME:
                _place(node.body, node.span)
                node.source = None


def _place(body: ast.Node, span: int) -> None:
    pending: list[ast.Node] = [body]
    while pending:
        node = pending.pop()
        node.span = span
        pending.extend(child for child in ast.children(node) if not isinstance(child, ast.Argument))
