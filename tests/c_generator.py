"""Random functions of C that every compiler agrees on: no undefined behaviour, no library.

`generate(random)` returns the body of `u64 f(u64 a, u64 b)`: variables of all integer types, a struct with bit fields, an
array, a union, loops that end, switches, all operators.  Shifts, divisions and indexes are guarded; signed overflow wraps.
"""

from __future__ import annotations

from random import Random

TYPES = ("u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64", "int", "char", "unsigned long", "bool")
PREAMBLE = """
struct bits { u32 one:3; s32 two:9; u32 three:20; u64 wide:37; s16 small; u8 bytes[4]; };
union both { u64 whole; u32 halves[2]; u8 parts[8]; };
enum colour { RED, GREEN = 5, BLUE };
static inline s32 twice(s16 x) { return x * 2; }
static inline u64 pick(struct bits *p, u32 which) {
    if (which & 1) return p->two;
    switch (which & 6) { case 0: return p->one; case 2: return p->wide; default: break; }
    return p->bytes[which & 3];
}
"""
_BINARY = ("+", "-", "*", "&", "|", "^", "==", "!=", "<", "<=", ">", ">=", "&&", "||")
_ASSIGN = ("=", "+=", "-=", "*=", "&=", "|=", "^=")


class Generator:
    """Makes one function."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.variables = {"a": "u64", "b": "u64"}
        self.lines: list[str] = []
        self.n_loops = 0

    def function(self) -> str:
        for number in range(self.random.randint(2, 5)):
            ctype = self.random.choice(TYPES)
            self.lines.append(f"{ctype} v{number} = {self.expression(2)};")
            self.variables[f"v{number}"] = ctype
        self.lines.append(f"struct bits s = {{ .one = {self.expression(1)}, .bytes = {{ 1, 2 }} }};")
        self.lines.append("union both u = { .whole = b };")
        self.lines.append("u32 t[4] = { 1, [2] = 7 };")
        self.lines.append(f"u64 r = {self.expression(2)};")
        for _ in range(self.random.randint(3, 8)):
            self.lines.append(self.statement(2))
        places = ["s.one", "s.two", "s.three", "s.wide", "s.small", "u.whole", "t[1]", "t[2]", "pick(&s, b)"]
        self.lines += [f"r = r * 31 + {place};" for place in [*self.variables, *places]]
        return "\n".join([*self.lines, "return r;"])

    # -- statements

    def statement(self, depth: int) -> str:
        kinds = ["assign", "assign", "assign", "increment"]
        if depth:
            kinds += ["if", "for", "switch", "while"]
        return str(getattr(self, f"_{self.random.choice(kinds)}")(depth))

    def _assign(self, depth: int) -> str:
        place = self.place()
        if self.random.random() < 0.15:
            return f"{place} {self.random.choice(('/=', '%='))} {self.divisor()};"
        if self.random.random() < 0.15:
            return f"{place} = {self.expression(2)} {self.random.choice(('<<', '>>'))} {self.random.randint(0, 31)};"
        return f"{place} {self.random.choice(_ASSIGN)} {self.expression(2)};"

    def _increment(self, depth: int) -> str:
        place = self.place(bool_too=False)
        return self.random.choice((f"{place}++;", f"--{place};", f"r += (u64){place}--;", f"r ^= (u64)++{place};"))

    def _if(self, depth: int) -> str:
        other = f" else {{ {self.statement(depth - 1)} }}" if self.random.random() < 0.5 else ""
        return f"if ({self.expression(2)}) {{ {self.statement(depth - 1)} {self.statement(depth - 1)} }}{other}"

    def _for(self, depth: int) -> str:
        self.n_loops += 1
        name = f"i{self.n_loops}"
        leave = f"if ({self.expression(1)}) {self.random.choice(('break', 'continue'))};" if self.random.random() < 0.4 else ""
        count = self.random.randint(1, 4)
        body = f"{leave} {self.statement(depth - 1)} r += {name} + t[{name}];"
        return f"for (int {name} = 0; {name} < {count}; {name}++) {{ {body} }}"

    def _while(self, depth: int) -> str:
        self.n_loops += 1
        name = f"i{self.n_loops}"
        return f"int {name} = {self.random.randint(1, 4)}; do {{ {self.statement(depth - 1)} }} while (--{name});"

    def _switch(self, depth: int) -> str:
        cases = self.random.sample(range(8), self.random.randint(1, 6))
        body = "".join(
            f"case {number}: {self.statement(depth - 1)} {self.random.choice(('break;', ''))} " for number in cases
        )
        return f"switch (({self.expression(2)}) & 7) {{ {body} default: r += 1; }}"

    # -- expressions

    def place(self, *, bool_too: bool = True) -> str:
        names = [name for name, ctype in self.variables.items() if ctype != "bool" or bool_too]
        more = ["s.one", "s.two", "s.three", "s.wide", "s.small", "u.whole", "u.halves[1]", "s.bytes[3]"]
        if "r" not in names and len(self.lines) < 6:
            more = []
        return self.random.choice([*names, *(more if any("struct bits s" in line for line in self.lines) else [])])

    def divisor(self) -> str:
        return f"(({self.expression(1)} & 63) + 1)"

    def expression(self, depth: int) -> str:
        random = self.random
        if depth == 0 or random.random() < 0.15:
            return self.leaf()
        kind = random.random()
        if kind < 0.5:
            return f"({self.expression(depth - 1)} {random.choice(_BINARY)} {self.expression(depth - 1)})"
        if kind < 0.6:
            return f"({random.choice('-~!')}{self.expression(depth - 1)})"
        if kind < 0.72:
            return f"(({random.choice(TYPES)}){self.expression(depth - 1)})"
        if kind < 0.79:
            return f"({self.expression(depth - 1)} {random.choice('/%')} {self.divisor()})"
        if kind < 0.86:
            return f"((u64){self.expression(depth - 1)} {random.choice(('<<', '>>'))} ({self.leaf()} & 63))"
        if kind < 0.92:
            return f"({self.expression(depth - 1)} ? {self.expression(depth - 1)} : {self.expression(depth - 1)})"
        if kind < 0.96:
            return f"twice({self.expression(depth - 1)})"
        return f"({{ s32 inner = {self.expression(depth - 1)}; inner + 1; }})"

    def leaf(self) -> str:
        random = self.random
        if random.random() < 0.6:
            place = self.place()
            return f"((u64){place})" if place == "s.wide" else place  # GCC computes with 37 bits, Clang with 64
        number = random.choice((0, 1, 2, 7, 31, 127, 128, 255, 256, 65535, 65536, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
                                0x100000000, 0x7FFFFFFFFFFFFFFF))  # fmt: skip
        small = f"(-{number & 0xFFFF})"
        return random.choice((str(number), f"{number:#x}u", f"{number}ULL", small, "GREEN", "sizeof(u32)", "'x'"))


def generate(random: Random) -> str:
    """Return a function's body."""
    return Generator(random).function()
