"""linkage: which functions the kernel may verify on their own, whoever calls them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ir_corpus import Writer
from probee.compiler.codegen.generate import generate_object
from probee.compiler.codegen.linkage import verified_alone
from probee.compiler.ir import op
from probee.compiler.ir.build import Builder
from probee.compiler.ir.type import I32, I64, Type, pointer
from probee.compiler.ir.unit import connect
from probee.formats.btf.reader import Btf

Body = Callable[[Builder], object]


def calling(body: Body, *, n_calls: int = 2, parameters: tuple[Type, ...] = (I64, I32)) -> Writer:
    """A program that calls a function so many times and drops what it returns."""
    w = Writer()
    inner = w.other("inner", "subprogram", parameters)
    body(inner)
    if not inner.terminated:
        inner.return_(inner.const(0))
    for number in range(n_calls):
        arguments = [w.const(number, type) if type.is_int else w.alloca(8) for type in parameters]
        w.call("inner", *arguments)
    w.done(0, 0)
    return w


def store_both(inner: Builder) -> None:
    slot = inner.alloca(8)
    inner.store(slot, inner.param(0))
    inner.store(inner.map_value("data"), inner.add(inner.load(slot, I64), inner.zext(inner.param(1), I64)))


def names(w: Writer) -> set[str]:
    for function in w.program.functions:
        connect(function)
    return verified_alone(w.program.functions)


def test_a_function_of_numbers_that_is_called_often_is() -> None:
    assert names(calling(store_both)) == {"inner"}


def test_one_that_is_called_once_gains_nothing() -> None:
    assert names(calling(store_both, n_calls=1)) == set()


def test_one_that_takes_a_pointer_is_not() -> None:
    assert names(calling(lambda inner: inner.load(inner.param(0), I64), parameters=(pointer("stack"),))) == set()


@pytest.mark.parametrize("through", ["as it is", "computed", "by the stack", "joined"])
def test_one_that_indexes_with_a_number_it_was_given_is_not(through: str) -> None:
    def body(inner: Builder) -> None:
        index = inner.param(0)
        if through == "computed":
            index = inner.shl(inner.and_(index, 7), 3)
        elif through == "by the stack":
            slot = inner.alloca(8)
            inner.store(slot, index)
            index = inner.load(slot, I64)
        elif through == "joined":
            join = inner.new_block()
            inner.jump(join)
            join.predecessors = [inner.block]
            inner.at(join)
            index = inner.emit(op.PHI, I64, [index])
        inner.load(inner.offset(inner.map_value("data"), index), I64)

    assert names(calling(body)) == set()


def test_one_that_gives_its_number_to_a_helper_is_not() -> None:
    def body(inner: Builder) -> None:
        inner.helper("ringbuf_output", inner.map("ring"), inner.map_value("data"), inner.param(0), inner.const(0))

    assert names(calling(body)) == set()


def test_one_with_a_loop_is_not() -> None:
    def body(inner: Builder) -> None:
        head, out = inner.new_block(), inner.new_block()
        inner.jump(head)
        inner.at(head)
        inner.branch(inner.compare(op.ULT, inner.param(0), 3), head, out)
        inner.at(out)

    assert names(calling(body)) == set()


@pytest.mark.parametrize("through", ["at once", "joined", "by the stack"])
def test_one_whose_result_is_an_index_is_not(through: str) -> None:
    w = Writer()
    inner = w.other("inner", "subprogram", (I64,))
    inner.return_(inner.const(8))
    w.call("inner", w.const(1))
    index = w.call("inner", w.const(2))
    if through == "joined":
        before, join = w.block, w.new_block()
        w.jump(join)
        join.predecessors = [before]
        w.at(join)
        index = w.emit(op.PHI, I64, [index])
    elif through == "by the stack":
        slot = w.alloca(8)
        w.store(slot, index)
        index = w.load(slot, I64)
    w.done(w.load(w.offset(w.map_value("data"), index), I64), 0)
    assert names(w) == set()


def test_one_whose_result_is_only_counted_is() -> None:
    w = Writer()
    inner = w.other("inner", "subprogram", (I64,))
    inner.return_(inner.param(0))
    w.done(w.add(w.call("inner", w.const(1)), w.call("inner", w.const(2))), 3)
    assert names(w) == {"inner"}


def test_the_kernel_is_told_of_the_parameters() -> None:
    w = calling(store_both)
    object = generate_object(w.unit, source_name="linkage", source_text="")
    btf = Btf(object.btf)
    found = {name: btf.function(name) for name in ("main", "inner")}
    assert {name: len(type.parameters) for name, type in found.items() if type is not None} == {"main": 0, "inner": 2}
