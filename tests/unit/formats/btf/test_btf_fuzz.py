"""Whatever the bytes are: an answer or BtfError, never another exception, and never without end."""

from __future__ import annotations

from functools import cache

from hypothesis import example, given, settings
from hypothesis import strategies as st

from btf_from_c import Declarations
from probee.errors import BtfError
from probee.formats.btf import kind
from probee.formats.btf.reader import Btf
from probee.formats.btf.show import show_blob
from probee.model.ctype import EnumType, StructType

TEXT = """
typedef unsigned int u32;
enum color { RED, GREEN = -4 };
struct leaf { u32 a : 3; u32 b; union { struct { char x; long y; }; enum color c; }; };
struct node { struct node *next; struct leaf leaves[2]; const char __user *name; int (*call)(struct node *, long, ...); };
typedef struct node node_t;
int visit(node_t *node, enum color c);
TRACEPOINT(event, struct node *n, int x);
PER_CPU(struct leaf, each);
"""


@cache
def blob() -> bytes:
    declarations = Declarations()
    declarations.parse(TEXT)
    b = declarations.builder
    b.record(kind.ENUM64, "wide", 8, vlen=1, tail=(b.string("WIDE"), 1, 2))
    b.record(kind.FLOAT, "double", 8)
    b.record(kind.DECL_TAG, "bpf_kfunc", 1, tail=(0xFFFFFFFF,))
    return declarations.blob()


def ask_everything(data: bytes, base: Btf | None = None) -> None:
    btf = Btf(data, base)
    for name in ("node", "leaf", "color", "visit", "each", "u32", ".data..percpu"):
        for kind_name in kind.BY_NAME:
            _quietly(lambda n=name, k=kind_name: btf.named(k, n))  # type: ignore[misc]
    for ask in (
        lambda: btf.enumerator("GREEN"), lambda: btf.raw_tracepoint("event"), lambda: btf.is_percpu("each"),
        lambda: list(btf.functions()), lambda: list(btf.tagged("bpf_kfunc")), lambda: list(show_blob(btf)),
    ):  # fmt: skip
        _quietly(ask)
    for id in range(btf.end_id + 1):
        _quietly(lambda i=id: _look(btf, i))  # type: ignore[misc]


def _look(btf: Btf, id: int) -> None:
    ctype = btf.type(id)
    btf.size_of(id)
    if isinstance(ctype, StructType):
        ctype.find("y")
    if isinstance(ctype, EnumType):
        assert all(isinstance(value, int) for _, value in ctype.values)


def _quietly(ask: object) -> None:
    try:
        ask()  # type: ignore[operator]
    except BtfError as error:
        assert "BTF" in str(error)


def test_the_whole_blob_is_readable() -> None:
    ask_everything(blob())


words = st.sampled_from([0, 1, 2, 3, 4, 7, 0x7F, 0xFF, 0xFFFF, 0xFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5000), st.one_of(words, st.integers(0, 60), st.integers(0, 2**32 - 1))), max_size=6))
@example([(5, 0xFFFFFFFF)])
def test_changed_words(changes: list[tuple[int, int]]) -> None:
    data = bytearray(blob())
    for place, value in changes:
        at = place * 4 % (len(data) // 4 * 4)
        data[at : at + 4] = value.to_bytes(4, "little")
    try:
        ask_everything(bytes(data))
    except BtfError as error:
        assert "BTF" in str(error)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 4000), st.binary(max_size=30))
def test_cut_and_appended(cut: int, tail: bytes) -> None:
    try:
        ask_everything(blob()[: cut % len(blob())] + tail)
    except BtfError as error:
        assert "BTF" in str(error)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(6, 5000), words), max_size=4))
def test_changed_words_of_a_module(changes: list[tuple[int, int]]) -> None:
    base, module = Declarations(), None
    base.parse("struct shared { int a; };")
    module = Declarations(base)
    module.parse("struct node { struct shared *s; struct { struct shared each; }; }; int visit(struct node *n);")
    data = bytearray(module.blob())
    for place, value in changes:
        at = place * 4 % (len(data) // 4 * 4)
        data[at : at + 4] = value.to_bytes(4, "little")
    try:
        ask_everything(bytes(data), Btf(base.blob()))
    except BtfError as error:
        assert "BTF" in str(error)
