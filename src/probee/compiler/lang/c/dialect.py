"""BCC's macros for maps and probes, in the stream of tokens.

`BPF_HASH(counts, struct key_t)` becomes the declaration of a variable `counts` whose struct has the members key, leaf, entries
and flags, so that the parser reads the types, whatever they are; the note on its name says what it is (declare_map reads
that).  `TRACEPOINT_PROBE(sched, sched_switch)` becomes the head of a function.
"""

from __future__ import annotations

from probee.compiler.lang.c.attribute import closing
from probee.compiler.lang.c.token import Word, lex, to_words
from probee.compiler.lang.c.unit import ProbeMacro
from probee.errors import ParseError


class MapMacro:
    """What a map's macro says beside types and numbers."""

    __slots__ = ("inner", "kind", "macro", "pin", "rounded", "sharing", "span")

    def __init__(self, macro: str, kind: str, span: int) -> None:
        self.macro = macro
        self.kind = kind
        self.span = span
        self.pin = self.sharing = self.inner = ""
        self.rounded = False


class Form:
    """One form of a map's macro: which argument (a number) or which text is what; None where the map has no such thing."""

    __slots__ = ("entries", "flags", "inner", "key", "kind", "leaf", "name", "pin", "rounded", "sharing")

    def __init__(
        self, kind: str | int, name: int = 0, *, key: str | int | None = None, leaf: str | int | None = None,
        entries: str | int = "10240", flags: str | int = "0", pin: int | None = None, inner: int | None = None,
        sharing: str = "", rounded: bool = False,
    ) -> None:  # fmt: skip
        self.kind = kind
        self.name = name
        self.key = key
        self.leaf = leaf
        self.entries = entries
        self.flags = flags
        self.pin = pin
        self.inner = inner
        self.sharing = sharing
        self.rounded = rounded


_NO_PREALLOC = "1"  # BPF_F_NO_PREALLOC
_BUILD_ID = "32"  # BPF_F_STACK_BUILD_ID


def _keyed(kind: str, flags: str = "0") -> dict[int, Form]:
    return {
        1: Form(kind, key="u64", leaf="u64", flags=flags),
        2: Form(kind, key=1, leaf="u64", flags=flags),
        3: Form(kind, key=1, leaf=2, flags=flags),
        4: Form(kind, key=1, leaf=2, entries=3, flags=flags),
    }


def _indexed(kind: str) -> dict[int, Form]:
    return {
        1: Form(kind, key="int", leaf="u64"),
        2: Form(kind, key="int", leaf=1),
        3: Form(kind, key="int", leaf=1, entries=2),
    }


def _sized(kind: str, key: str, leaf: str) -> dict[int, Form]:
    return {2: Form(kind, key=key, leaf=leaf, entries=1)}


def _table(sharing: str = "", *, flags: bool = False) -> dict[int, Form]:
    forms = {5: Form(0, 3, key=1, leaf=2, entries=4, sharing=sharing)}
    if flags:
        forms[6] = Form(0, 3, key=1, leaf=2, entries=4, flags=5, sharing=sharing)
    return forms


def _queued(kind: str) -> dict[int, Form]:
    return {3: Form(kind, leaf=1, entries=2), 4: Form(kind, leaf=1, entries=2, flags=3)}


def _storage(kind: str, key: str = "int") -> dict[int, Form]:
    return {2: Form(kind, key=key, leaf=1, entries="0", flags=_NO_PREALLOC if key == "int" else "0")}


# macro → number of arguments → form
MAPS: dict[str, dict[int, Form]] = {
    "BPF_TABLE": _table(),
    "BPF_F_TABLE": {6: Form(0, 3, key=1, leaf=2, entries=4, flags=5)},
    "BPF_TABLE_PUBLIC": _table("public"),
    "BPF_TABLE_SHARED": _table("shared", flags=True),
    "BPF_TABLE_PINNED": {
        6: Form(0, 3, key=1, leaf=2, entries=4, pin=5),
        7: Form(0, 3, key=1, leaf=2, entries=4, pin=5, flags=6),
    },
    "BPF_HASH": _keyed("hash"),
    "BPF_PERCPU_HASH": _keyed("percpu_hash"),
    "BPF_LPM_TRIE": _keyed("lpm_trie", _NO_PREALLOC),
    "BPF_ARRAY": _indexed("array"),
    "BPF_PERCPU_ARRAY": _indexed("percpu_array"),
    "BPF_HISTOGRAM": {
        1: Form("histogram", key="int", leaf="u64", entries="64"),
        2: Form("histogram", key=1, leaf="u64", entries="64"),
        3: Form("histogram", key=1, leaf="u64", entries=2),
    },
    "BPF_PERF_OUTPUT": {1: Form("perf_output", key="int", leaf="u32", entries="0")},
    "BPF_RINGBUF_OUTPUT": {2: Form("ringbuf", key="int", leaf="u32", entries=1)},
    "BPF_PERF_ARRAY": _sized("perf_array", "int", "u32"),
    "BPF_CGROUP_ARRAY": _sized("cgroup_array", "int", "u32"),
    "BPF_PROG_ARRAY": _sized("prog", "u32", "u32"),
    "BPF_STACK_TRACE": {2: Form("stacktrace", key="int", leaf="struct bpf_stacktrace", entries=1, rounded=True)},
    "BPF_STACK_TRACE_BUILDID": {
        2: Form("stacktrace", key="int", leaf="struct bpf_stacktrace_buildid", entries=1, flags=_BUILD_ID, rounded=True)
    },
    "BPF_DEVMAP": _sized("devmap", "u32", "int"),
    "BPF_CPUMAP": _sized("cpumap", "u32", "u32"),
    "BPF_XSKMAP": {**_sized("xskmap", "u32", "int"), 3: Form("xskmap", key="u32", leaf="int", entries=1, pin=2)},
    "BPF_ARRAY_OF_MAPS": {3: Form("array_of_maps", key="int", leaf="int", inner=1, entries=2)},
    "BPF_HASH_OF_MAPS": {
        2: Form("hash_of_maps", key="int", leaf="int", inner=1),
        3: Form("hash_of_maps", key=1, leaf="int", inner=2),
        4: Form("hash_of_maps", key=1, leaf="int", inner=2, entries=3),
    },
    "BPF_SK_STORAGE": _storage("sk_storage"),
    "BPF_INODE_STORAGE": _storage("inode_storage"),
    "BPF_TASK_STORAGE": _storage("task_storage"),
    "BPF_CGROUP_STORAGE": _storage("cgroup_storage", "struct bpf_cgroup_storage_key"),
    "BPF_PERCPU_CGROUP_STORAGE": _storage("percpu_cgroup_storage", "struct bpf_cgroup_storage_key"),
    "BPF_SOCKMAP": _sized("sockmap", "u32", "int"),
    "BPF_SOCKHASH": {
        1: Form("sockhash", key="u32", leaf="int"),
        2: Form("sockhash", key=1, leaf="int"),
        3: Form("sockhash", key=1, leaf="int", entries=2),
    },
    "BPF_QUEUE": _queued("queue"),
    "BPF_STACK": _queued("stack"),
    "BPF_QUEUESTACK": {5: Form(0, 1, leaf=2, entries=3, flags=4)},
    "BPF_QUEUESTACK_PINNED": {6: Form(0, 1, leaf=2, entries=3, flags=4, pin=5)},
    "BPF_QUEUESTACK_PUBLIC": {5: Form(0, 1, leaf=2, entries=3, flags=4, sharing="public")},
    "BPF_QUEUESTACK_SHARED": {5: Form(0, 1, leaf=2, entries=3, flags=4, sharing="shared")},
}

# macro → (kind of probe, parts of the target that come before its arguments, prefix of the function's name, type of its
# context or "" when it has the target's, name of the context)
PROBES = {
    "TRACEPOINT_PROBE": ("tracepoint", 2, "tracepoint__", "struct NAME *", "args"),
    "RAW_TRACEPOINT_PROBE": ("raw_tracepoint", 1, "raw_tracepoint__", "struct bpf_raw_tracepoint_args *", "ctx"),
    "BPF_ITER": ("iter", 1, "bpf_iter__", "struct NAME *", "ctx"),
    "KFUNC_PROBE": ("kfunc", 1, "kfunc__vmlinux__", "unsigned long long *", "ctx"),
    "KRETFUNC_PROBE": ("kretfunc", 1, "kretfunc__vmlinux__", "unsigned long long *", "ctx"),
    "MODULE_KFUNC_PROBE": ("kfunc", 2, "kfunc__", "unsigned long long *", "ctx"),
    "MODULE_KRETFUNC_PROBE": ("kretfunc", 2, "kretfunc__", "unsigned long long *", "ctx"),
    "KMOD_RET": ("fmod_ret", 1, "kmod_ret__", "unsigned long long *", "ctx"),
    "LSM_PROBE": ("lsm", 1, "lsm__", "unsigned long long *", "ctx"),
}
_IN_VMLINUX = {"KFUNC_PROBE", "KRETFUNC_PROBE"}
_WITH_ARGUMENTS = {"KFUNC_PROBE", "KRETFUNC_PROBE", "MODULE_KFUNC_PROBE", "MODULE_KRETFUNC_PROBE", "KMOD_RET", "LSM_PROBE"}


def expand_dialect(words: list[Word]) -> list[Word]:
    """Return the words with bcc's macros at file level replaced by declarations."""
    out: list[Word] = []
    depth = at = 0
    while at < len(words):
        word = words[at]
        kind = word.type
        if kind == "ID" and depth == 0 and (word.value in MAPS or word.value in PROBES) and _is_call(words, at):
            end = closing(words, at + 1)
            arguments = _arguments(words[at + 2 : end])
            if word.value in MAPS:
                out += _map(word, arguments)
            else:
                out += _probe(word, arguments)
            at = end + 1
            continue
        if kind == "LBRACE":
            depth += 1
        elif kind == "RBRACE":
            depth -= 1
        out.append(word)
        at += 1
    return out


def _is_call(words: list[Word], at: int) -> bool:
    return at + 1 < len(words) and words[at + 1].type == "LPAREN"


def _arguments(words: list[Word]) -> list[list[Word]]:
    """Return the arguments between parentheses, split at commas that are in no brackets."""
    if not words:
        return []
    found: list[list[Word]] = [[]]
    depth = 0
    for word in words:
        if word.type in ("LPAREN", "LBRACE", "LBRACKET"):
            depth += 1
        elif word.type in ("RPAREN", "RBRACE", "RBRACKET"):
            depth -= 1
        if word.type == "COMMA" and depth == 0:
            found.append([])
        else:
            found[-1].append(word)
    return found


_CODE: dict[str, list[Word]] = {}  # the same few texts again and again


def code(text: str, span: int) -> list[Word]:
    """Return the words of a text of ours, all at one place."""
    words = _CODE.get(text)
    if words is None:
        words = _CODE[text] = to_words(lex(text), None)
    start, length = span >> 24, span & 0xFFFFFF
    return [Word(word.type, word.value, start, length) for word in words]


def _map(macro: Word, arguments: list[list[Word]]) -> list[Word]:
    forms = MAPS[macro.value]
    form = forms.get(len(arguments))
    if form is None:
        counts = sorted(forms)
        wanted = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        plural = "" if wanted == "1" else "s"
        raise ParseError(f"{macro.value} takes {wanted} argument{plural}, not {len(arguments)}", macro.span)
    for index, argument in enumerate(arguments):
        if not argument:
            raise ParseError(f"argument {index + 1} of {macro.value} is empty", macro.span)
    name = _single_name(macro, arguments[form.name], "the map's name")
    note = name.note()
    note.macro = _described(macro, form, arguments)
    span = name.span
    out = code("struct {", span)
    for member, chosen in (("key", form.key), ("leaf", form.leaf)):
        if chosen is not None:
            words = arguments[chosen] if isinstance(chosen, int) else code(chosen, span)
            out += [*code("typeof (", span), *words, *code(f") {member};", span)]
    for member, number in (("entries", form.entries), ("flags", form.flags)):
        words = arguments[number] if isinstance(number, int) else code(number, span)
        out += [*code(f"int {member} [", span), *words, *code("];", span)]
    return [*out, *code("}", span), name]


def _described(macro: Word, form: Form, arguments: list[list[Word]]) -> MapMacro:
    kind = form.kind if isinstance(form.kind, str) else _text(macro, arguments[form.kind], "the type of table")
    found = MapMacro(macro.value, kind, macro.span)
    found.sharing = form.sharing
    found.rounded = form.rounded
    if form.pin is not None:
        found.pin = _text(macro, arguments[form.pin], "a path")
    if ":" in kind:  # how older programs pin a table
        found.kind, _, found.pin = kind.partition(":")
    if "$" in kind:
        found.kind, _, found.inner = kind.partition("$")
    if kind == "extern":
        found.sharing = "extern"
    if form.inner is not None:
        found.inner = _text(macro, arguments[form.inner], "the name of a map")
    return found


def _text(macro: Word, words: list[Word], what: str) -> str:
    """Return the text of an argument that is a string, perhaps in parts."""
    if any(word.type != "STRING_LITERAL" for word in words):
        raise ParseError(f"{macro.value}: {what} must be a string in quotes", words[0].span)
    return "".join(word.value[1:-1] for word in words)


def _single_name(macro: Word, words: list[Word], what: str) -> Word:
    if len(words) != 1 or words[0].type != "ID":
        raise ParseError(f"{macro.value}: {what} must be a name", words[0].span if words else macro.span)
    return words[0]


def _probe(macro: Word, arguments: list[list[Word]]) -> list[Word]:
    kind, parts, prefix, context, context_name = PROBES[macro.value]
    takes_more = macro.value in _WITH_ARGUMENTS
    if len(arguments) < parts or (len(arguments) > parts and not takes_more):
        plural = "" if parts == 1 else "s"
        least = "at least " if takes_more else ""
        raise ParseError(f"{macro.value} takes {least}{parts} argument{plural}, not {len(arguments)}", macro.span)
    names = [_single_name(macro, argument, "the probe's parts") for argument in arguments[:parts]]
    target = tuple(word.value for word in names)
    name = Word("ID", prefix + "__".join(target), names[-1].lineno, names[-1].column)
    if macro.value in _IN_VMLINUX:
        target = ("vmlinux", *target)
    name.note().macro = ProbeMacro(kind, target, macro.span)
    span = names[-1].span
    out = [*code("int", span), name, *code(f"({context.replace('NAME', name.value)}{context_name}", span)]
    for argument in arguments[parts:]:
        out += [*code(",", span), *argument]
    return [*out, *code(")", span)]
