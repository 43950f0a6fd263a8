"""Random functions of C that every compiler agrees on: no undefined behaviour, no library.

`generate(random)` returns the body of `u64 f(u64 a, u64 b)`: variables of all integer types, a struct with bit fields, structs
in structs and arrays, passed and returned by value, pointers, arrays of arrays, a union, 128 bits, loops that end, switches,
goto, all operators.  Shifts, divisions and indexes are guarded; signed overflow wraps; what has an effect is a statement's
outermost operation, so that nothing is unsequenced.
"""

from __future__ import annotations

from random import Random

TYPES = ("u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64", "int", "char", "unsigned long", "bool")
PREAMBLE = """
enum colour { RED, GREEN = 5, BLUE };
struct bits { u32 one:3; s32 two:9; u32 three:20; u64 wide:37; s16 small; u8 bytes[4]; bool flag:1; enum colour hue:3; };
struct pair { u16 x; s32 y; u8 t[3]; };
struct nest { struct pair p[2]; u64 z; };
union both { u64 whole; u32 halves[2]; u8 parts[8]; };
static inline s32 twice(s16 x) { return x * 2; }
static inline u64 pick(struct bits *p, u32 which) {
    if (which & 1) return p->two;
    switch (which & 6) { case 0: return p->one; case 2: return p->wide; default: break; }
    return p->bytes[which & 3];
}
static inline struct pair swap(struct pair p, u8 k) {
    struct pair q = { p.y, p.x, { k } };
    if (k & 1) q.t[2] = p.t[1];
    p.x = 0;
    return q;
}
static inline void bump(u32 *p, struct nest *n, u32 i) {
    *p += i;
    n->p[i & 1].y -= *p;
    if (i & 2) return;
    n->z ^= i;
}
static inline u64 total(struct nest *n) {
    u64 r = n->z;
    for (int i = 0; i < 2; i++) r = r * 7 + n->p[i].x + n->p[i].y + n->p[i].t[i];
    return r;
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
        self.n_labels = 0

    def function(self) -> str:
        for number in range(self.random.randint(2, 5)):
            ctype = self.random.choice(TYPES)
            self.lines.append(f"{ctype} v{number} = {self.expression(2)};")
            self.variables[f"v{number}"] = ctype
        self.lines.append(f"struct bits s = {{ .one = {self.expression(1)}, .bytes = {{ 1, 2 }} }};")
        self.lines.append("union both u = { .whole = b };")
        self.lines.append("u32 t[4] = { 1, [2] = 7 }, m[2][4] = { { 1 }, 2, 3 };")
        self.lines.append("struct pair c = { a, b, { 1, 2, 3 } }, d = { .y = b };")
        self.lines.append("struct nest n = { .p[1] = { 4, .t[1] = 5 }, .z = a }; volatile u32 v = 3;")
        self.lines.append("u64 q0 = a, q1 = b, *p = &q0; unsigned __int128 w = b; __int128 k = (s64)a;")
        self.lines.append(f"u64 r = {self.expression(2)};")
        for _ in range(self.random.randint(3, 8)):
            self.lines.append(self.statement(2))
        places = ["s.one", "s.two", "s.three", "s.wide", "s.small", "s.flag", "s.hue", "u.whole", "t[1]", "t[2]", "pick(&s, b)",
                  "total(&n)", "c.x", "c.y", "c.t[2]", "d.x", "d.t[0]", "m[0][1]", "m[1][2]", "q0", "q1", "*p", "(u64)w",
                  "(u64)(w >> 64)", "(u64)k", "(u64)(k >> 70)", "v"]  # fmt: skip
        self.lines += [f"r = r * 31 + {place};" for place in [*self.variables, *places]]
        return "\n".join([*self.lines, "return r;"])

    # -- statements

    def statement(self, depth: int) -> str:
        kinds = ["assign", "assign", "assign", "increment", "worth", "whole", "pointer", "matrix", "wide", "bytes"]
        if depth:
            kinds += ["if", "for", "switch", "while", "skip", "again"]
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

    def _worth(self, depth: int) -> str:
        """What an assignment is worth."""
        place = self.place()
        return f"r = r * 3 + (u64)({place} {self.random.choice(_ASSIGN)} {self.expression(1)});" if place != "r" else ";"

    def _whole(self, depth: int) -> str:
        """Structs as values."""
        e = self.expression
        return self.random.choice((
            f"c = swap(d, {e(1)});", f"d = {e(1)} ? c : n.p[{e(1)} & 1];", f"n.p[{e(1)} & 1] = c;", f"d = n.p[{e(0)} & 1];",
            f"r += swap(c, {e(1)}).y;", f"bump(&t[{e(1)} & 3], &n, {e(1)});", f"n = (struct nest){{ {{ c, d }}, {e(1)} }};",
            f"c = ({{ struct pair x = d; x.y -= {e(1)}; x; }});", f"c.y = swap(swap(c, {e(0)}), {e(1)}).x;",
            f"n.p[{e(0)} & 1].t[({e(1)}) & 1] += {e(1)};", f"if (c.x == d.x || c.y < {e(1)}) c = d;",
        ))  # fmt: skip

    def _pointer(self, depth: int) -> str:
        e = self.expression
        return self.random.choice((
            "p = &q1;", f"p = {e(1)} ? &q0 : &q1;", f"*p {self.random.choice(_ASSIGN)} {e(2)};",
            f"{{ u64 **o = &p; **o ^= {e(1)}; }}", f"{{ struct nest *x = &n; x->p->y = {e(1)}; }}",
            f"for (u32 *x = t; x < t + 3; x++) *x += {e(1)};", f"for (u8 *x = u.parts, *o = x + 8; x != o; ++x) *x ^= {e(1)};",
            "{ u16 *x = (u16 *)t + 7; do { if (*x & 1) break; r += *x; x -= 2; } while (x >= (u16 *)t); r += x - (u16 *)t; }",
            f"{{ u32 *x = t + ({e(1)} & 1); x++; *x -= {e(1)}; r += x[-1] + (x - t); }}", "(*p)++;",
            f"{{ struct pair *x = &n.p[{e(0)} & 1]; x->x ^= {e(1)}; x->t[1]++; }}",
            f"__sync_fetch_and_add(p, {e(1)});", f"r += __sync_fetch_and_xor(&q0, {e(1)});", "p = p == &q0 ? &q1 : &q0;",
        ))  # fmt: skip

    def _matrix(self, depth: int) -> str:
        e = self.expression
        place = f"m[({e(1)}) & 1][({e(1)}) & 3]"
        return self.random.choice((
            f"{place} {self.random.choice(_ASSIGN)} {e(1)};", f"r ^= {place};",
            f"{{ u32 (*row)[4] = &m[{e(0)} & 1]; (*row)[1] += {e(1)}; r += (*row)[({e(0)}) & 3]; }}",
        ))  # fmt: skip

    def _wide(self, depth: int) -> str:
        e, by = self.expression, self.random.randint(0, 127)
        return self.random.choice((
            f"w += {e(1)};", f"w <<= {by};", f"w ^= (unsigned __int128)({e(1)}) << {by};", f"k = (s64)({e(1)}) - k;",
            f"k >>= {by};", f"r += (u64)(w >> {by});", "r += w < (unsigned __int128)k;",
            f"if (k < ({e(1)})) k = -k; else w = ~w;",
            f"w = {e(0)} ? w : (unsigned __int128)k;", "w--;", f"r += k == (s64)({e(1)});", f"w |= {e(1)};",
        ))  # fmt: skip

    def _bytes(self, depth: int) -> str:
        return self.random.choice((
            "__builtin_memcpy(&c, &d, sizeof(c));", "__builtin_memset(s.bytes, 7, 3);",
            "__builtin_memcpy(n.p[1].t, s.bytes, 3);", "r += __builtin_memcmp(c.t, s.bytes, 3) == 0;",
            "u.parts[3] ^= ((u8 *)t)[5];", "v = v * 5 + 1;",
            "r = __builtin_bswap64(r);", "u.halves[0] = __builtin_bswap32(u.halves[1]);",
        ))  # fmt: skip

    def _skip(self, depth: int) -> str:
        self.n_labels += 1
        name = f"l{self.n_labels}"
        return f"if ({self.expression(1)}) goto {name}; {self.statement(depth - 1)} {name}: {self.statement(0)}"

    def _again(self, depth: int) -> str:
        self.n_labels += 1
        name = f"l{self.n_labels}"
        count = self.random.randint(1, 3)
        body = self.statement(depth - 1)
        return f"{{ u8 i = 0; {name}: {body} if (++i < {count}) goto {name}; }}"

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
        leave = f"if ({self.expression(1)}) {self.random.choice(('break', 'continue'))};" if self.random.random() < 0.4 else ""
        count = self.random.randint(1, 4)
        return f"{{ int {name} = {count}; do {{ {leave} {self.statement(depth - 1)} }} while (--{name}); }}"

    def _switch(self, depth: int) -> str:
        cases = self.random.sample(range(8), self.random.randint(1, 6))
        body = "".join(f"case {number}: {self.statement(depth - 1)} {self.random.choice(('break;', ''))} " for number in cases)
        default = "default: r += 1; "
        if self.random.random() < 0.5:
            return f"switch (({self.expression(2)}) & 7) {{ {default} {body} }}"
        return f"switch ((s8)({self.expression(2)}) % 8) {{ {body} {default} }}"

    # -- expressions

    def place(self, *, bool_too: bool = True) -> str:
        names = [name for name, ctype in self.variables.items() if ctype != "bool" or bool_too]
        more = ["s.one", "s.two", "s.three", "s.wide", "s.small", "u.whole", "u.halves[1]", "s.bytes[3]", "c.x", "d.y",
                "d.t[1]", "n.p[1].y", "n.z", "t[3]", "q0", "m[1][1]", *(["s.flag"] if bool_too else [])]  # fmt: skip
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
