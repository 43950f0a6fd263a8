"""Random bpftrace programs: mostly well typed, with begin and end probes, so that they can be compiled and loaded anywhere.

`Generator(seed).program()` gives a text; the same seed gives the same text.  `mutated(text, random)` spoils one, byte by
byte or word by word.
"""

from __future__ import annotations

import re
from random import Random

INTS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
NUMBERS = (
    "0", "1", "-1", "7", "10", "127", "128", "255", "0x7f", "65536", "1e6", "10ms", "4294967296", "9223372036854775807",
    "18446744073709551615", "010", "1_000", "5u", "3ull",
)  # fmt: skip
STRINGS = ('""', '"a"', '"hello"', '"\\n\\x41\\101\\\\"', '"%d %s"', '"' + "x" * 40 + '"', '"' + "long " * 50 + '"', '"ä"')
BUILTINS = ("pid", "tid", "uid", "gid", "nsecs", "elapsed", "cpu", "ncpus", "rand", "cgroup", "numaid", "cpid", "usermode")
KINDS = ("int", "int", "int", "int", "bool", "str", "str", "tuple", "record", "other")
AGGREGATIONS = (
    "count()", "sum({})", "min({})", "max({})", "avg({})", "stats({})", "hist({})", "hist({}, 3)", "lhist({}, 0, 100, 10)",
    "tseries({}, 1s, 5)",
)  # fmt: skip
OTHERS = (
    "ksym(nsecs)", "usym(nsecs)", "kstack", "kstack(3)", "ustack(perf, 2)", "kstack(raw, 1)", "username", "ntop(1)",
    'ntop(pton("::1"))', 'pton("1.2.3.4")', "macaddr(curtask)", 'strftime("%H:%M", nsecs)', "cgroup_path(cgroup)",
    "buf(curtask, 8)", 'buf("abc")', "curtask", "(uint8[8])nsecs", "(int8[4])(uint32)pid", "curtask.comm", "&$fixed",
    "(uint8 *)nsecs", "strerror(cpu)", "signal_name(9)",
)  # fmt: skip
PREAMBLES = (
    "",
    "struct pair { int a; long b; char text[12]; struct { short x; unsigned char bits : 3; } inner; };",
    "#define SEVEN 7\n#define TEXT \"text\"\nenum colour { RED, GREEN = 5 };\n",
    "config = { max_strlen = 64 }",
    "config = { max_strlen = 1024; on_stack_limit = 32 }",
    "config = { max_map_keys = 3; print_maps_on_exit = 0 }",
)


class Generator:
    """One random program.  `chaos` is how often an expression is of another type than wanted."""

    def __init__(self, seed: int, *, chaos: float = 0.02) -> None:
        self.random = Random(seed)
        self.chaos = chaos
        self.scopes: list[dict[str, str]] = []
        self.maps: dict[str, tuple[str, str]] = {}
        self.n_names = 0
        self.loops = 0
        self.budget = self.random.choice((5, 20, 60, 150))

    def program(self) -> str:
        """Return a whole program."""
        r = self.random
        parts = [r.choice(PREAMBLES)]
        parts.append("macro twice(x) { x + x } macro bump($v, @m) { $v += 1; @m = $v; $v }")
        parts.append("fn add($a : int64, $b : uint32) : int64 { if ($a > 5) { return $a; } return $a + $b; }")
        if r.random() < 0.2:
            parts.append("let @declared = lruhash(10); begin { @declared[pid] = tid; }")
            self.maps["declared"] = "int", "int"
        for _ in range(r.choice((1, 1, 1, 2, 3))):
            self.scopes = []
            predicate = f" /{self.expr('int', 3)}/" if r.random() < 0.2 else ""
            parts.append(f"{r.choice(('begin', 'begin', 'begin', 'end'))}{predicate} {self.body()}")
        return "\n".join(parts)

    # -- statements

    def body(self) -> str:
        self.scopes = [{"fixed": "int"}]
        return "{ let $fixed : int64 = 5; " + self.statements(1) + "}"

    def block(self, depth: int, **variables: str) -> str:
        self.scopes.append(dict(variables))
        try:
            return "{ " + self.statements(depth + 1) + "}"
        finally:
            self.scopes.pop()

    def statements(self, depth: int) -> str:
        found = ""
        for _ in range(self.random.choice((1, 2, 3, 5))):
            if self.budget <= 0:
                break
            self.budget -= 1
            found += self.statement(depth) + " "
        return found

    def statement(self, depth: int) -> str:
        r = self.random
        nested = (self.if_, self.for_range, self.for_map, self.while_, self.unroll) if depth < 4 else ()
        plain = (
            self.assign, self.assign, self.assign_map, self.assign_map, self.aggregate, self.printf, self.print_, self.count,
            self.effect, self.leave, self.assign_typed,
        )  # fmt: skip
        chosen = r.choice((*plain, *nested))
        return chosen(depth) if chosen in nested else chosen()  # type: ignore[operator]

    def name(self) -> str:
        self.n_names += 1
        return f"v{self.n_names}"

    def known(self, kind: str) -> list[str]:
        return [name for scope in self.scopes for name, other in scope.items() if other == kind]

    def assign(self) -> str:
        kind = self.random.choice(KINDS)
        old = self.known(kind)
        value = self.expr(kind, 0)
        if old and self.random.random() < 0.4 and kind == "int":
            operator = self.random.choice(("=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="))
            return f"${self.random.choice(old)} {operator} {value};"
        name = self.name()
        self.scopes[-1][name] = kind
        return f"{self.random.choice(('', 'let '))}${name} = {value};"

    def assign_typed(self) -> str:
        name, type = self.name(), self.random.choice((*INTS, "string[20]", "bool"))
        kind = {"string[20]": "str", "bool": "bool"}.get(type, "int")
        value = f" = ({type})({self.expr('int', 1)})" if kind == "int" else ""
        self.scopes[-1][name] = kind
        return f"let ${name} : {type}{value};"

    def map(self, value: str) -> str:
        """Return a place in a map for a value of some kind."""
        r = self.random
        usable = [name for name, (_, other) in self.maps.items() if other == value]
        if usable and r.random() < 0.6:
            name = r.choice(usable)
        else:
            self.n_names += 1
            name = f"m{self.n_names}"
            self.maps[name] = r.choice(("", "", "int", "str", "tuple")), value
        key = self.maps[name][0]
        if not key:
            return f"@{name}"
        if key == "tuple":
            return f"@{name}[{self.expr('int', 3)}, {self.expr('str', 3)}]"
        return f"@{name}[{self.expr(key, 3)}]"

    def assign_map(self) -> str:
        kind = self.random.choice(("int", "int", "str", "tuple", "record", "bool", "other"))
        value = self.expr(kind, 0)
        return f"{self.map(kind if kind != 'other' else value)} = {value};"

    def aggregate(self) -> str:
        form = self.random.choice(AGGREGATIONS)
        return f"{self.map(form)} = {form.format(self.expr('int', 1))};"

    def count(self) -> str:
        places = [f"${name}" for name in self.known("int")] + [self.map("count")]
        target = self.random.choice(places)
        return self.random.choice((f"{target}++;", f"{target}--;", f"++{target};", f"_ = --{target};"))

    def printf(self) -> str:
        r = self.random
        wanted = [r.choice(("int", "int", "str", "tuple", "record", "bool", "other")) for _ in range(r.choice((0, 1, 2, 4)))]
        codes = {"int": ("%d", "%lld", "%5u", "%x", "%s", "%c"), "str": ("%s", "%-10s")}
        form = " ".join(r.choice(codes.get(kind, ("%s",))) for kind in wanted)
        values = "".join(f", {self.expr(kind, 1)}" for kind in wanted)
        return f'{r.choice(("printf", "printf", "errorf", "warnf"))}("{form}\\n"{values});'

    def print_(self) -> str:
        r = self.random
        if self.maps and r.random() < 0.4:
            name = r.choice(list(self.maps))
            return f"print(@{name}{r.choice(('', '', ', 3', ', 3, 2'))});"
        return f"print({self.expr(r.choice(KINDS), 0)});"

    def effect(self) -> str:
        r = self.random
        if not self.maps:
            return 'time("%H");'
        name = r.choice(list(self.maps))
        key = self.maps[name][0]
        element = f"@{name}, {self.key(key)}" if key else f"@{name}"
        return r.choice((f"clear(@{name});", f"zero(@{name});", f"delete({element});", 'join(curtask);', 'cat("/none%d", 5);'))

    def key(self, kind: str) -> str:
        return f"({self.expr('int', 3)}, {self.expr('str', 3)})" if kind == "tuple" else self.expr(kind, 3)

    def leave(self) -> str:
        return self.random.choice(("break;", "continue;")) if self.loops else f"_ = {self.expr('int', 1)};"

    def if_(self, depth: int) -> str:
        condition = self.expr(self.random.choice(("bool", "int")), 1)
        otherwise = self.random.choice(("", "", " else ", f" else if ({condition}) "))
        return f"if ({condition}) {self.block(depth)}{otherwise}{self.block(depth) if otherwise else ''}"

    def for_range(self, depth: int) -> str:
        name, self.loops = self.name(), self.loops + 1
        end = self.random.choice(("3", "(pid % 10)", "100"))
        inner = self.block(depth, **{name: "int"})
        self.loops -= 1
        return f"for (${name} : {self.random.choice(('0', '1', '(cpu)'))}..{end}) {inner}"

    def for_map(self, depth: int) -> str:
        keyed = [name for name, (key, _) in self.maps.items() if key]
        if not keyed:
            return self.for_range(depth)
        name, self.loops = self.name(), self.loops + 1
        inner = self.block(depth, **{name: "pair"})
        self.loops -= 1
        return f"for (${name} : @{self.random.choice(keyed)}) {inner[:-1]} print(${name}.{self.random.choice('01')}); }}"

    def while_(self, depth: int) -> str:
        name, self.loops = self.name(), self.loops + 1
        inner = self.block(depth)
        self.loops -= 1
        return f"${name} = 0; while (${name} < {self.random.choice((2, 5, 20))}) {{ ${name}++; {inner} }}"

    def unroll(self, depth: int) -> str:
        self.loops += 1
        inner = self.block(depth)
        self.loops -= 1
        return f"unroll ({self.random.choice((1, 2, 5))}) {inner}"

    # -- expressions

    def expr(self, kind: str, depth: int) -> str:
        """Return an expression: a variable, something simple, or a form whose parts are expressions."""
        r = self.random
        if r.random() < self.chaos:
            kind = r.choice(KINDS)
        if kind == "other":
            return r.choice(OTHERS)
        names = self.known(kind)
        if names and r.random() < 0.3:
            return f"${r.choice(names)}"
        simple = depth >= 4 or (depth > 0 and r.random() < 0.35)
        form = r.choice(SIMPLE[kind] if simple else FORMS[kind])
        return _PART.sub(lambda found: self.part(found.group(1), depth + 1), form)

    def part(self, letter: str, depth: int) -> str:
        r = self.random
        if letter in _KIND_OF:
            return self.expr(_KIND_OF[letter], depth)
        if letter in ("I", "S"):
            return self.map_value("int" if letter == "I" else "str", depth)
        if letter == "n":
            return self.number()
        return r.choice(_WORDS[letter])

    def number(self) -> str:
        self.n_names += 1
        return str(self.n_names)

    def map_value(self, kind: str, depth: int) -> str:
        usable = [name for name, (_, other) in self.maps.items() if other == kind]
        if not usable:
            return "pid" if kind == "int" else "comm"
        name = self.random.choice(usable)
        key = self.maps[name][0]
        inside = {"": "", "tuple": "[{i}, {s}]", "int": "[{i}]", "str": "[{s}]"}[key]
        return f"@{name}" + _PART.sub(lambda found: self.part(found.group(1), depth + 1), inside)


_PART = re.compile(r"\{(\w)\}")
_KIND_OF = {"i": "int", "s": "str", "b": "bool"}
_WORDS = {
    "o": ("+", "-", "*", "/", "%", "&", "|", "^"), "h": ("<<", ">>"), "t": INTS, "c": ("==", "!=", "<", ">=", "<=", ">"),
    "e": ("==", "!="), "l": ("&&", "||"), "z": ("0", "1", "5", "30", "200"), "k": ("01"),
}  # fmt: skip
SIMPLE = {
    "int": (*NUMBERS, *BUILTINS, "$1", "$#", "curtask.pid", "curtask->tgid", "sizeof(uint32)"),
    "bool": ("true", "false", "pid == 1", "has_cpid", "(bool)pid"),
    "str": (*STRINGS, "comm", "probe", "str($1)", "probetype", "curtask.comm"),
    "tuple": ('(1, "a")', "(pid, comm)"),
    "record": ('(a = 1, b = ("x", true))',),
}
SIMPLE["pair"] = SIMPLE["tuple"]
FORMS = {
    "int": (
        "({i} {o} {i})", "({i} {o} {i})", "({i} {h} {i})", "({i} {h} 3)", "(-({i}))", "(~({i}))", "({t})({i})",
        "({b} ? {i} : {i})", "({i} ?: {i})", "strncmp({s}, {s}, {z})", "strlen({s})", "if ({b}) { {i} } else { {i} }",
        "{ let $b{n} = {i}; {i} }", "twice({i})", "add({i}, (uint32)({i}))", "({i}, {i}).{k}", "(a = {i}, b = {s}).a",
        "strstr({s}, {s})", "bswap((uint32)({i}))", "{I}", "{I}", "sizeof({s})", 'getopt("opt", 5)', "curtask.parent.pid",
        "curtask.parent.flags", "len(kstack(4))", 'kaddr("vfs_read")', "memcmp(({i}, 1), ({i}, 1), 2)",
        "offsetof(struct task_struct, pid)", "(int64)({b})",
    ),
    "bool": (
        "({i} {c} {i})", "({i} {c} {i})", "({b} {l} {b})", "(!{b})", "({s} {e} {s})", "strcontains({s}, {s})",
        "((1, {s}) {e} (2, {s}))", "({i} {l} {b})", "({b} ? {b} : {b})",
    ),
    "str": (
        "str({s}, {z})", "str(nsecs, 3)", "str(nsecs, $fixed)", "({b} ? {s} : {s})", "(1, {s}).1", "str_concat({s}, {s})",
        "str(curtask)", "str(curtask.comm)", "(string[3])({s})", "(string[200])({s})", "{ let $s{n} = {s}; comm }",
        "strerror(5)", "{S}", "{S}", "if ({b}) { {s} } else { {s} }",
    ),
    "tuple": ("({i}, {s})", "({b} ? ({i}, {s}) : ({i}, {s}))"),
    "record": ("(a = {i}, b = ({s}, {b}))",),
}  # fmt: skip
FORMS["pair"] = FORMS["tuple"]
_WORD = re.compile(r"\w+|\s+|.", re.DOTALL)


def mutated(text: str, random: Random) -> str:
    """Return a text with a few of its characters or words lost, doubled, swapped, or replaced."""
    pieces = list(text) if random.random() < 0.5 else _WORD.findall(text)
    for _ in range(random.choice((1, 1, 2, 5))):
        if not pieces:
            break
        at, other = random.randrange(len(pieces)), random.randrange(len(pieces))
        action = random.randrange(5)
        if action == 0:
            del pieces[at : at + random.choice((1, 1, 5))]
        elif action == 1:
            pieces[at:at] = pieces[other : other + random.choice((1, 3, 10))]
        elif action == 2:
            pieces[at], pieces[other] = pieces[other], pieces[at]
        elif action == 3:
            pieces[at] = random.choice((*'(){}[];"/-0$@.*', "\n", "\xff"))
        else:
            pieces[at] = pieces[other]
    return "".join(pieces)
