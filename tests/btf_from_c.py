"""C declarations to BTF, as pahole would make it: for tests, which then read like the headers that they stand for.

Knows structs, unions, enums, bit fields, arrays, function pointers, typedefs, prototypes (each becomes a function),
`__user` / `__percpu` / `__rcu` tags, `PER_CPU(type, name);` and `TRACEPOINT(name, parameters);`.  Lays structs out by the
rules of the x86-64 ABI.  Does not know initialisers, attributes or expressions.
"""

from __future__ import annotations

import re

from probee.formats.btf import kind
from probee.formats.btf.build import BtfBuilder, MemberRow

_TOKEN = re.compile(r"\s+|/\*.*?\*/|(\.\.\.|[A-Za-z_]\w*|-?\d+|0x[0-9a-f]+|[{}();,*\[\]:=])", re.S)
# spelling here → (compilers' name in DWARF and so in BTF, size, signed)
_INTS = {
    "char": ("char", 1, True), "signed char": ("signed char", 1, True), "unsigned char": ("unsigned char", 1, False),
    "short": ("short int", 2, True), "unsigned short": ("short unsigned int", 2, False), "int": ("int", 4, True),
    "unsigned int": ("unsigned int", 4, False), "unsigned": ("unsigned int", 4, False), "long": ("long int", 8, True),
    "unsigned long": ("long unsigned int", 8, False), "long long": ("long long int", 8, True),
    "unsigned long long": ("long long unsigned int", 8, False), "_Bool": ("_Bool", 1, False),
}  # fmt: skip
_WORDS = frozenset(("char", "signed", "unsigned", "short", "int", "long", "_Bool"))
_TAGS = {"__user": "user", "__percpu": "percpu", "__rcu": "rcu"}


class Declarations:
    """A BtfBuilder fed with C text; `sizes` holds (size, alignment) of what has one.

    With a base it makes the split BTF of a module, which sees the base's names.
    """

    def __init__(self, base: Declarations | None = None) -> None:
        self.builder = BtfBuilder(base.builder if base is not None else None)
        self.sizes: dict[int, tuple[int, int]] = dict(base.sizes) if base is not None else {}
        self.names: dict[str, int] = dict(base.names) if base is not None else {}  # "struct x", "enum x", typedefs
        self.percpu: list[tuple[int, int]] = []

    def parse(self, text: str) -> None:
        found = list(_TOKEN.finditer(text))
        assert sum(len(match.group()) for match in found) == len(text), "a character that is no token"
        self.tokens = [match.group(1) for match in found if match.group(1)] + [""]
        self.at = 0
        while self.tokens[self.at]:
            self._declaration()

    def blob(self) -> bytes:
        if self.percpu:
            tail = [word for n, (id, size) in enumerate(self.percpu) for word in (id, n * 64, size)]
            self.builder.record(kind.DATASEC, ".data..percpu", len(self.percpu) * 64, vlen=len(self.percpu), tail=tail)
            self.percpu = []
        return self.builder.blob()

    # -- tokens

    def _take(self, wanted: str = "") -> str:
        token = self.tokens[self.at]
        assert not wanted or token == wanted, f"{wanted!r} expected before {' '.join(self.tokens[self.at : self.at + 12])}"
        self.at += 1
        return token

    def _accept(self, wanted: str) -> bool:
        if self.tokens[self.at] == wanted:
            self.at += 1
            return True
        return False

    # -- declarations

    def _declaration(self) -> None:
        if self._accept("typedef"):
            name, id = self._declarator(self._base())
            self.names[name] = self.builder.typedef(name, id)
            self.sizes[self.names[name]] = self.sizes.get(id, (0, 1))
        elif self._accept("PER_CPU"):
            self._per_cpu()
        elif self._accept("TRACEPOINT"):
            self._tracepoint()
        else:
            base = self._base()
            if self.tokens[self.at] != ";":
                name, id = self._declarator(base)
                self.builder.func(name, id, kind.LINKAGE_STATIC)
        self._take(";")

    def _per_cpu(self) -> None:
        self._take("(")
        id = self._base()
        self._take(",")
        name = self._take()
        self._take(")")
        size = self.sizes[id][0]
        self.percpu.append((self.builder.record(kind.VAR, name, id, tail=(1,)), size))

    def _tracepoint(self) -> None:
        self._take("(")
        name = self._take()
        self._take(",")
        parameters = [("__data", self.builder.pointer(0)), *self._parameters()]
        b = self.builder
        b.typedef(f"btf_trace_{name}", b.pointer(b.func_proto(0, [("", type) for _, type in parameters])))
        b.func(f"__traceiter_{name}", b.func_proto(self._integer("int"), parameters), kind.LINKAGE_STATIC)

    def _integer(self, name: str) -> int:
        real_name, size, signed = _INTS[name]
        id = self.builder.integer(real_name, size, signed=signed, boolean=name == "_Bool")
        self.sizes[id] = (size, size)
        return id

    def _base(self) -> int:
        qualifiers = []
        while self.tokens[self.at] in ("const", "volatile"):
            qualifiers.append(kind.CONST if self._take() == "const" else kind.VOLATILE)
        token = self._take()
        if token in ("struct", "union"):
            id = self._struct(token)
        elif token == "enum":
            id = self._enum()
        elif token == "void":
            id = 0
        elif token in _WORDS:
            words = [token]
            while self.tokens[self.at] in _WORDS:
                words.append(self._take())
            id = self._integer(" ".join(words))
        else:
            id = self.names[token]
        for qualifier in qualifiers:
            inner, id = id, self.builder.record(qualifier, "", id, share=True)
            self.sizes[id] = self.sizes.get(inner, (0, 1))
        return id

    def _declarator(self, id: int) -> tuple[str, int]:
        """Return (name, type) of what follows a base type: stars, a name or (*name), arrays, parameters."""
        while self.tokens[self.at] in ("*", "const", *_TAGS):
            token = self._take()
            if token in _TAGS:
                id = self.builder.record(kind.TYPE_TAG, _TAGS[token], id, share=True)
            elif token == "*":
                id = self._pointer(id)
        if self._accept("("):
            self._take("*")
            name = self._take()
            self._take(")")
            return name, self._pointer(self._function(id))
        named = re.match(r"[A-Za-z_]", self.tokens[self.at])
        name = self._take() if named else ""
        if self.tokens[self.at] == "(":
            return name, self._function(id)
        counts = []
        while self._accept("["):
            counts.append(0 if self.tokens[self.at] == "]" else int(self._take()))
            self._take("]")
        for count in reversed(counts):
            size, align = self.sizes[id]
            id = self.builder.array(id, count)
            self.sizes[id] = (size * count, align)
        return name, id

    def _pointer(self, id: int) -> int:
        id = self.builder.pointer(id)
        self.sizes[id] = (8, 8)
        return id

    def _function(self, result: int) -> int:
        self._take("(")
        return self.builder.func_proto(result, self._parameters())

    def _parameters(self) -> list[tuple[str, int]]:
        parameters: list[tuple[str, int]] = []
        while not self._accept(")"):
            if self._accept("..."):
                parameters.append(("", 0))
            elif self.tokens[self.at : self.at + 2] == ["void", ")"]:
                self._take()
            else:
                parameters.append(self._declarator(self._base()))
            self._accept(",")
        return parameters

    # -- structs and enums

    def _struct(self, tag: str) -> int:
        name = self._take() if self.tokens[self.at] != "{" else ""
        key = f"{tag} {name}"
        id = self.names.get(key, 0) if name else 0
        if not id:
            id = self.builder.declare(name)
            if name:
                self.names[key] = id
        if self._accept("{"):
            self._define(id, tag, name)
        return id

    def _define(self, id: int, tag: str, name: str) -> None:
        rows: list[MemberRow] = []
        end, largest, align = 0, 0, 1  # in bits, in bits, in bytes
        while not self._accept("}"):
            base = self._base()
            while True:
                member, type = self._declarator(base)
                size, step = self.sizes[type]
                bits = int(self._take()) if self._accept(":") else 0
                if bits:
                    start = end if end // (size * 8) == (end + bits - 1) // (size * 8) else -(-end // (size * 8)) * size * 8
                else:
                    start = -(-end // (step * 8)) * step * 8
                rows.append((member, type, 0 if tag == "union" else start, bits))
                end = start + (bits or size * 8)
                largest, align = max(largest, bits or size * 8), max(align, step)
                if tag == "union":
                    end = 0
                if not self._accept(","):
                    break
            self._take(";")
        total = -(-(largest if tag == "union" else end) // (align * 8)) * align
        self.builder.define(id, name, total, rows, union=tag == "union")
        self.sizes[id] = (total, align)

    def _enum(self) -> int:
        name = self._take() if self.tokens[self.at] != "{" else ""
        if name and not self._accept("{"):
            return self.names[f"enum {name}"]
        self._accept("{")
        values: list[tuple[str, int]] = []
        number = 0
        while not self._accept("}"):
            member = self._take()
            number = int(self._take(), 0) if self._accept("=") else number
            values.append((member, number))
            number += 1
            self._accept(",")
        id = self.builder.enum(name, values)
        if name:
            self.names[f"enum {name}"] = id
        self.sizes[id] = (4, 4)
        return id
