"""Statements and declarations inside functions.  ISO C 6.8, 6.7."""

from __future__ import annotations

from pycparser import c_ast

from probee.compiler.ir.switch import switch
from probee.compiler.ir.unit import Block
from probee.compiler.lang.c import convert
from probee.compiler.lang.c.choice import condition
from probee.compiler.lang.c.complaint import check_end
from probee.compiler.lang.c.constant import evaluate, promote, span_of
from probee.compiler.lang.c.declare import check_assertion
from probee.compiler.lang.c.initialise import complete_array, initialise
from probee.compiler.lang.c.lower import STATEMENTS, Loop, Lowerer
from probee.compiler.lang.c.value import NO_FLOATS, Place, is_aggregate, is_float, is_function
from probee.errors import CompileError, TypeMismatch, Unsupported
from probee.model.ctype import VOID, ForwardType, FunctionType, size_of, strip

MAX_RANGE = 256  # numbers of `case 1 ... n:`


def _compound(low: Lowerer, node: c_ast.Compound) -> None:
    outer = low.scope
    low.scope = outer.child()
    for item in node.block_items or ():
        low.statement(item)
    low.scope = outer


def _nothing(low: Lowerer, node: c_ast.Node) -> None:
    """An empty statement; a pragma that asks for nothing we know."""


def _pragma(low: Lowerer, node: c_ast.Pragma) -> None:
    low.unroll = "unroll" in node.string and "nounroll" not in node.string


def _declaration(low: Lowerer, node: c_ast.Decl) -> None:
    ctype = low.scope.type_of(node.type)
    if node.name is None:
        return  # struct s { … };
    if "extern" in node.storage or is_function(ctype):
        if isinstance(strip(ctype), FunctionType):
            return
        raise Unsupported("a BPF program has no other objects to be linked with", span_of(node))
    if "static" in node.storage:
        from probee.compiler.lang.c.globals import declare_static

        declare_static(low, node, ctype)
        return
    ctype = complete_array(low, ctype, node.init)
    bare = low.source.scope.complete(strip(ctype))
    if node.name in low.scope.symbols:
        raise TypeMismatch(f"'{node.name}' is declared twice in this block", span_of(node))
    if is_float(bare):
        raise Unsupported(NO_FLOATS, span_of(node.type) or span_of(node))
    if isinstance(bare, ForwardType):
        from probee.compiler.lang.c.complaint import unknown_tag

        raise unknown_tag(low, bare, span_of(node.type) or span_of(node))
    if size_of(bare) == 0 and not is_aggregate(bare):
        raise TypeMismatch(f"'{node.name}' is of type '{ctype.spelling()}', which is incomplete", span_of(node))
    variable = low.variable(ctype, node.name)
    low.declare(node.name, variable)
    if node.init is not None:
        initialise(low, Place(ctype, variable.slot, variable=variable), node.init)


def _declarations(low: Lowerer, node: c_ast.DeclList) -> None:
    for each in node.decls:
        low.statement(each)


def _assertion(low: Lowerer, node: c_ast.StaticAssert) -> None:
    check_assertion(node, low.scope)


def _typedef(low: Lowerer, node: c_ast.Typedef) -> None:
    low.scope.declare_typedef(node)


def _if(low: Lowerer, node: c_ast.If) -> None:
    b = low.b
    yes, end = b.new_block(), b.new_block()
    no = b.new_block() if node.iffalse is not None else end
    condition(low, node.cond, yes, no)
    for block, branch in ((yes, node.iftrue), (no, node.iffalse)):
        if block is end:
            continue
        b.at(block)
        low.statement(branch)
        if not b.terminated:
            b.jump(end)
    b.at(end)


def _for(low: Lowerer, node: c_ast.For) -> None:
    outer = low.scope
    low.scope = outer.child()
    if node.init is not None:
        low.statement(node.init)
    check_end(low, node.cond, node.stmt, node)
    _loop(low, node.cond, node.stmt, node.next)
    low.scope = outer


def _while(low: Lowerer, node: c_ast.While) -> None:
    check_end(low, node.cond, node.stmt, node)
    _loop(low, node.cond, node.stmt, None)


def _loop(low: Lowerer, test: c_ast.Node | None, body: c_ast.Node, step: c_ast.Node | None) -> None:
    b = low.b
    head, inside, again, leave = b.new_block(), b.new_block(), b.new_block(), b.new_block()
    unroll, low.unroll = low.unroll, False
    b.jump(head)
    b.at(head)
    if test is None:
        b.jump(inside)
    else:
        condition(low, test, inside, leave)
    low.loops.append(Loop(leave, again))
    b.at(inside)
    if unroll:
        b.unroll(must=False)
    low.statement(body)
    low.loops.pop()
    if not b.terminated:
        b.jump(again)
    b.at(again)
    if step is not None:
        low.value(step)
    b.jump(head)
    b.at(leave)


def _do(low: Lowerer, node: c_ast.DoWhile) -> None:
    b = low.b
    check_end(low, node.cond, node.stmt, node)
    inside, again, leave = b.new_block(), b.new_block(), b.new_block()
    unroll, low.unroll = low.unroll, False
    b.jump(inside)
    b.at(inside)
    if unroll:
        b.unroll(must=False)
    low.loops.append(Loop(leave, again))
    low.statement(node.stmt)
    low.loops.pop()
    if not b.terminated:
        b.jump(again)
    b.at(again)
    condition(low, node.cond, inside, leave)
    b.at(leave)


def _break(low: Lowerer, node: c_ast.Break) -> None:
    if not low.loops:
        raise CompileError("break outside of a loop or switch", span_of(node))
    low.b.jump(low.loops[-1].leave)


def _continue(low: Lowerer, node: c_ast.Continue) -> None:
    again = next((loop.again for loop in reversed(low.loops) if loop.again is not None), None)
    if again is None:
        raise CompileError("continue outside of a loop", span_of(node))
    low.b.jump(again)


def _return(low: Lowerer, node: c_ast.Return) -> None:
    frame = low.frame
    result = frame.declaration.result
    is_void = strip(result) is VOID
    if node.expr is None or is_void:
        if node.expr is not None:
            low.value(node.expr)
    elif frame.leave is None:
        operand = convert.convert(low, low.operand(node.expr), result, span_of(node.expr))
        low.b.return_(convert.program_result(low, operand))
        return
    elif frame.result is not None:
        initialise(low, Place(result, frame.result.slot, variable=frame.result), node.expr)
    if frame.leave is None:
        low.b.return_(low.b.const(0))
    else:
        low.b.jump(frame.leave)


def _goto(low: Lowerer, node: c_ast.Goto) -> None:
    low.frame.gotos.setdefault(node.name, span_of(node))
    low.b.jump(_label_block(low, node.name))


def _label(low: Lowerer, node: c_ast.Label) -> None:
    block = _label_block(low, node.name)
    if (low.frame.path, node.name) in low.labels_met:
        raise CompileError(f"there is a label '{node.name}' already", span_of(node))
    low.labels_met.add((low.frame.path, node.name))
    if not low.b.terminated:
        low.b.jump(block)
    low.b.at(block)
    low.statement(node.stmt)


def _label_block(low: Lowerer, name: str) -> Block:
    labels = low.frame.labels
    if name not in labels:
        labels[name] = low.b.new_block()
    return labels[name]


# -- switch


def _switch(low: Lowerer, node: c_ast.Switch) -> None:
    b = low.b
    tested = low.operand(node.cond)
    ctype = promote(tested.type)
    tested = convert.convert(low, tested, ctype, span_of(node.cond))
    leave = b.new_block()
    cases, default = _cases(low, node)
    blocks = {id(case): b.new_block() for _, case in cases}
    otherwise = leave
    if default is not None:
        otherwise = blocks.setdefault(id(default), b.new_block())
    switch(b, convert.number(low, tested), [(number, blocks[id(case)]) for number, case in cases], otherwise)
    low.loops.append(Loop(leave, None))
    low.cases.append(blocks)
    low.statement(node.stmt)
    low.cases.pop()
    low.loops.pop()
    if not b.terminated:
        b.jump(leave)
    b.at(leave)


def _cases(low: Lowerer, node: c_ast.Switch) -> tuple[list[tuple[int, c_ast.Case]], c_ast.Default | None]:
    """Return the cases of a switch, those of switches inside not, with their numbers."""
    cases: list[tuple[int, c_ast.Case]] = []
    default: list[c_ast.Default] = []
    seen: dict[int, c_ast.Case] = {}

    def walk(inner: c_ast.Node) -> None:
        if isinstance(inner, c_ast.Case):
            for number in _numbers_of(low, inner.expr):
                if number in seen:
                    raise CompileError(f"there is a case {number} already", span_of(inner.expr))
                seen[number] = inner
                cases.append((number, inner))
        elif isinstance(inner, c_ast.Default):
            if default:
                raise CompileError("there is a default already", span_of(inner))
            default.append(inner)
        for _, child in inner.children():
            if not isinstance(child, c_ast.Switch):
                walk(child)

    walk(node.stmt)
    return cases, default[0] if default else None


def _numbers_of(low: Lowerer, node: c_ast.Node) -> range:
    """Return the numbers of `case 1:` or `case 1 ... 5:`."""
    ends = (node.left, node.right) if isinstance(node, c_ast.BinaryOp) and node.op == "..." else (node, node)
    first, last = (evaluate(end, low.scope) for end in ends)
    if first is None or last is None:
        raise CompileError("a case needs a constant", span_of(node))
    if last - first >= MAX_RANGE:
        raise Unsupported(f"a case of more than {MAX_RANGE} numbers: use if", span_of(node))
    return range(first, last + 1)


def _case(low: Lowerer, node: c_ast.Node) -> None:
    blocks = low.cases[-1] if low.cases else {}
    block = blocks.get(id(node))
    if block is None:
        raise CompileError("a case outside of a switch", span_of(node))
    if not low.b.terminated:
        low.b.jump(block)
    low.b.at(block)
    for each in node.stmts or ():
        low.statement(each)


def _value(low: Lowerer, node: c_ast.Node) -> None:
    low.value(node)


STATEMENTS.update(
    {
        c_ast.Compound: _compound, c_ast.EmptyStatement: _nothing, c_ast.Pragma: _pragma, c_ast.Decl: _declaration,
        c_ast.DeclList: _declarations, c_ast.StaticAssert: _assertion, c_ast.Typedef: _typedef, c_ast.If: _if,
        c_ast.For: _for, c_ast.While: _while,
        c_ast.DoWhile: _do, c_ast.Break: _break, c_ast.Continue: _continue, c_ast.Return: _return, c_ast.Goto: _goto,
        c_ast.Label: _label, c_ast.Switch: _switch, c_ast.Case: _case, c_ast.Default: _case,
    }
)  # fmt: skip
