"""What to do about a mistake: a hint for errors that have none, found in the text around the place where it was noticed.

Used only when a compile has failed.  Each rule knows how a message begins and looks at what the author probably meant: habits
of C, DTrace and the shell, names that are nearly right, a sign that is missing.  A rule that is not sure says nothing.
"""

from __future__ import annotations

from probee.compiler.lang.bpftrace.scanner import WORD
from probee.errors import CompileError, ProbeeError, span_range
from probee.probes.candidate import closest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from probee.model.target import Target

# What other languages call it → what it is called here
ELSEWHERE = {
    "copyinstr": "str", "curthread": "curtask", "current": "curtask", "echo": "print", "execname": "comm", "getpid": "pid",
    "gettid": "tid", "getuid": "uid", "ktime_get_ns": "nsecs", "lquantize": "lhist", "println": "print", "probefunc": "func",
    "probename": "probe", "process": "comm", "procname": "comm", "puts": "print", "quantize": "hist", "stack": "kstack",
    "stringof": "str", "timestamp": "nsecs", "trace": "print", "NULL": "0", "None": "0", "null": "0",
}  # fmt: skip
_SIGNATURES = {
    "hist": "hist(number [, bits])", "lhist": "lhist(number, min, max, step)", "tseries": "tseries(number, interval, count)",
    "str": "str(address [, length])", "buf": "buf(address, length)", "strncmp": "strncmp(text, text, length)",
    "kaddr": 'kaddr("symbol")', "ntop": "ntop([family,] address)", "sum": "sum(number)", "avg": "avg(number)",
    "min": "min(number)", "max": "max(number)", "stats": "stats(number)", "count": "count()",
    "print": "print(what [, top [, div]])",
    "delete": "delete(@map, key)", "has_key": "has_key(@map, key)", "strcontains": "strcontains(text, text)",
    "strftime": 'strftime("format", nsecs)', "join": "join(char **)", "ksym": "ksym(address)", "usym": "usym(address)",
}  # fmt: skip
_C_TYPES = frozenset((
    "int", "char", "long", "short", "unsigned", "signed", "const", "float", "double", "void", "bool", "auto", "var", "string",
    "u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "uint8_t", "uint16_t", "uint32_t", "uint64_t", "size_t",
))  # fmt: skip
_WORD_OPERATORS = {"and": "&&", "or": "||", "not": "!"}
_LOOPS = "for loops go over a range or a map: for ($i : 0..10) { … } or for ($kv : @map) { … }"
_EQUALS = "= assigns, == compares"


def advise(error: CompileError, text: str, target: Target | None = None) -> CompileError:
    """Give an error a hint if one is known; returns the error.  What is only guessed to be meant gives way to what is known."""
    open_to_advice = not error.hint or error.message.startswith(("Unknown function", "Unknown identifier"))
    if open_to_advice and (error.source is None or error.source.text == text):
        start, end = span_range(error.span)
        for beginning, rule in _RULES:
            if error.message.startswith(beginning):
                error.hint = rule(_Place(error.message, text, start, end, target)) or error.hint
                break
    return error


class _Place:
    """Where an error was noticed."""

    def __init__(self, message: str, text: str, start: int, end: int, target: Target | None) -> None:
        self.message = message
        self.text = text
        self.start = start
        self.end = end
        self.target = target

    @property
    def here(self) -> str:
        return self.text[self.start : self.end]

    @property
    def before(self) -> str:
        return self.text[: self.start].rstrip()

    @property
    def quoted(self) -> str:
        """What the message has between its first two quotes."""
        return self.message.partition("'")[2].partition("'")[0]

    def word_before(self) -> str:
        """Return the word that ends right before the place, with its sign."""
        before = self.before
        at = len(before)
        while at and before[at - 1] in WORD:
            at -= 1
        if at and before[at - 1] in "$@":
            at -= 1
        return before[at:]

    def names(self, sign: str) -> Iterable[str]:
        """Return the variables ("$") or maps ("@") of the text, but for the place itself."""
        found, at = set(), self.text.find(sign)
        while at >= 0:
            end = at + 1
            while end < len(self.text) and self.text[end] in WORD:
                end += 1
            if not self.start <= at < self.end:
                found.add(self.text[at:end])
            at = self.text.find(sign, end)
        return found - {sign}


def _did_you_mean(names: Iterable[str]) -> str:
    found = ", ".join(names)
    return f"Did you mean: {found}?" if found else ""


# -- the form of a program


def _missing_semicolon(place: _Place) -> str:
    word, here = place.word_before(), place.here
    if word in _C_TYPES:
        return f"variables are not declared with a type: ${here} = 1; (or: let ${here} : int32 = 1;)"
    if word == "else":
        return "`else` follows the closing brace of an `if`"
    if here == "=" and word and word[0] not in "$@0123456789":
        return f"a variable begins with $: ${word} = …; a map, which all probes see, with @: @{word} = …"
    if word and word[0] not in "$@0123456789" and here not in ("", "}", ")", "]", "=", "{") and not place.before.endswith(")"):
        return f"the arguments of a function stand in parentheses: {word}(…)"
    if not here:
        return _unclosed(place)
    if here == "'":
        return "text stands in double quotes"
    if here[0] in WORD or here[0] in "$@":
        return f"a statement ends with a semicolon: one is missing before `{here}`"
    return ""


def _unclosed(place: _Place) -> str:
    opened, closed = place.text.count("{"), place.text.count("}")
    return "the program ends inside of a block: a } is missing" if opened > closed else ""


def _missing_parenthesis(place: _Place) -> str:
    if place.here == "=":
        return _EQUALS
    if place.here in _WORD_OPERATORS:
        return f"`{place.here}` is written {_WORD_OPERATORS[place.here]}"
    return _EQUALS if place.before.endswith("=") else ""


def _missing_slash(place: _Place) -> str:
    if place.here == "=":
        return _EQUALS
    if place.here in _WORD_OPERATORS:
        return f"`{place.here}` is written {_WORD_OPERATORS[place.here]}"
    return "a condition for a probe stands between slashes: kprobe:vfs_read / pid == 1 / { … }"


def _missing_brace(place: _Place) -> str:
    if place.here == "if":
        return "a condition for a whole probe stands between slashes: PROBE / pid == 1 / { … }; `if` belongs into the braces"
    if place.text.count("}") > place.text.count("{"):
        return "there is one } too many"
    if "{" not in place.text:
        return "a program is probes with what to do there: begin { … }, kprobe:vfs_read { … }, interval:s:1 { … }"
    if place.before.endswith(")"):
        return "what belongs to if, else, while and for stands in braces, even a single statement: if (…) { … }"
    return ""


def _no_attach_point(place: _Place) -> str:
    return "say where: begin { … } at the start, or a probe, as kprobe:vfs_read { … }; -l lists them"


def _expected_expression(place: _Place) -> str:
    if place.here == "'":
        return 'text stands in double quotes: "…" (and the program in single ones, for the shell)'
    return ""


def _unterminated_string(place: _Place) -> str:
    return 'a string ends with " on the same line; inside of one a " is written \\"'


# -- names


def _unknown_identifier(place: _Place) -> str:
    name = place.quoted
    if name in ELSEWHERE:
        return f"here it is called {ELSEWHERE[name]}"
    if f"${name}" in place.names("$"):
        return f"a variable is written with its sign: ${name}"
    if f"@{name}" in place.names("@"):
        return f"a map is written with its sign: @{name}"
    if _is_field(place, name):
        return f"a field of the probe's arguments is written args.{name}"
    return ""


def _is_field(place: _Place, name: str) -> bool:
    """Return whether a tracepoint of the text has a field of that name."""
    if place.target is None:
        return False
    for word in place.text.replace(",", " ").split():
        provider, _, rest = word.partition(":")
        category, _, event = rest.partition(":")
        if provider in ("tracepoint", "t") and event:
            try:
                format = place.target.tracepoint(category, event)
            except ProbeeError:  # the target cannot tell: no tracefs
                return False
            if format is not None and format.field(name) is not None:
                return True
    return False


def _unknown_function(place: _Place) -> str:
    name = place.quoted
    if name in ELSEWHERE:
        return f"here it is called {ELSEWHERE[name]}"
    if name in ("strcmp", "sprintf", "snprintf", "malloc", "free", "sleep"):
        ways = {"strcmp": 'text is compared with ==: comm == "sh"', "sleep": "nothing can wait in the kernel: use interval:s:1"}
        return ways.get(name, "a program in the kernel has no such function; strings are put together by printf()")
    return ""


def _undefined_variable(place: _Place) -> str:
    if place.text[place.end :].lstrip().startswith("==") and place.before.endswith(("{", ";", "}")):
        return _EQUALS
    found = closest(place.here, place.names("$"))
    if found:
        return _did_you_mean(found)
    return "a variable must be set before it is used, in the same block or one around it; maps (@x) live on between probes"


def _undefined_map(place: _Place) -> str:
    found = closest(place.message.rpartition(" ")[2], place.names("@"))
    return _did_you_mean(found) or "nothing in the script writes this map"


def _unknown_type(place: _Place) -> str:
    name = place.message.partition('"')[2].partition('"')[0]
    tag, _, word = name.partition(" ")
    if place.target is None or not word:
        return ""
    from probee.probes.list import type_names

    return _did_you_mean(f"{tag} {other}" for other in closest(word, type_names(tag, place.target)))


def _unknown_option(place: _Place) -> str:
    from probee.compiler.lang.bpftrace.config import DEFAULTS

    return _did_you_mean(closest(place.message.partition(":")[0].lower(), DEFAULTS))


# -- types


def _wrong_specifier(place: _Place) -> str:
    return "%s prints text, and any other value as print() does; %d and %x print numbers"


def _wrong_count(place: _Place) -> str:
    known = "diouxXcspra%ls"
    at = place.here.find("%")
    while at >= 0:
        letter = place.here[at + 1 :].lstrip("-+ #0123456789.*hljzt")[:1]
        if letter and letter not in known:
            return f"%{letter} is no conversion: %d %u %x %s %c %p and %r are; a percent sign is %%"
        at = place.here.find("%", at + 2)
    return ""


def _compared(place: _Place) -> str:
    if "string" in place.message:
        return 'text is compared with text, as in comm == "sh", and a number with a number, as in pid == 1'
    return ""


def _assigned(place: _Place) -> str:
    name = place.message.partition(" for ")[2].partition(":")[0]
    if "_t'" in place.message:
        return f"{name} counts by itself, each time its function is called; clear({name}) or zero({name}) starts again"
    return f"{name} keeps the type of its first value: use another name for another kind of value"


def _two_kinds_of_map(place: _Place) -> str:
    return "a map has a key wherever it is used, or nowhere: call one of the two by another name"


def _two_kinds_of_key(place: _Place) -> str:
    return "all keys of a map are of one type: use two maps"


def _strings_added(place: _Place) -> str:
    return 'text is put together where it is printed: printf("%s%s", $a, $b)' if "string" in place.message else ""


def _folded(place: _Place) -> str:
    return "a number cannot be divided by 0" if any(sign in place.here for sign in ("/", "%")) else ""


def _field_of_number(place: _Place) -> str:
    from probee.compiler.lang.bpftrace.builtin import BUILTINS

    if place.quoted in BUILTINS:
        return f"{place.quoted} is a name of its own: print({place.quoted})"
    return "only structs have fields: ((struct task_struct *)$x)->comm, with the type that the number points to"


def _arity(place: _Place) -> str:
    form = _SIGNATURES.get(place.message.partition("(")[0], "")
    return f"it is {form}" if form else ""


# -- probes


def _retval(place: _Place) -> str:
    return "what a function returns is known when it returns: kretprobe:FUNCTION { print(retval); }"


def _args(place: _Place) -> str:
    if "'kprobe'" in place.message:
        return "a kprobe's arguments are arg0, arg1, …: -lv 'kprobe:FUNCTION' shows which is which"
    return "args are the fields of a tracepoint: -lv 'tracepoint:CATEGORY:NAME' lists them"


def _arg_on_return(place: _Place) -> str:
    if "kretprobe" not in place.text and "kr:" not in place.text:
        return ""
    return "keep it from the entry: kprobe:f { @a[tid] = arg0; } kretprobe:f { print(@a[tid]); delete(@a, tid); }"


def _number_of_parts(place: _Place) -> str:
    provider, _, rest = place.here.partition(":")
    if provider in ("tracepoint", "t") and rest and ":" not in rest and place.target is not None:
        try:
            known = [name for name in place.target.tracepoints() if name.partition(":")[2] == rest]
        except ProbeeError:  # the target cannot tell: no tracefs
            known = []
        return _did_you_mean(f"{provider}:{name}" for name in known[:3]) or f"as in {provider}:sched:sched_switch"
    return ""


def _rate(place: _Place) -> str:
    provider, _, rest = place.here.partition(":")
    count = rest if rest.isdecimal() else "1"
    form = f"{provider}:hz:{count if count != '1' else '99'}" if provider.startswith("p") else f"{provider}:s:{count}"
    return f"a unit and a number: {form} (the units are hz, s, ms and us)"


def _unit(place: _Place) -> str:
    return "the units are hz, s, ms and us"


def _late(place: _Place) -> str:
    """Rules for messages that begin with what the author wrote."""
    if "() requires" in place.message or "() takes up to" in place.message:
        return _arity(place)
    if place.message.endswith("not a known configuration option"):
        return _unknown_option(place)
    return _unit(place) if place.message.endswith("is not an accepted unit of time") else ""


_RULES: tuple[tuple[str, Callable[[_Place], str]], ...] = (
    ("syntax: expected ';'", _missing_semicolon),
    ("syntax: expected '}'", _unclosed),
    ("syntax: expected ')'", _missing_parenthesis),
    ("syntax: expected '/' to close", _missing_slash),
    ("syntax: expected '{'", _missing_brace),
    ("syntax: expected attach point", _no_attach_point),
    ("syntax: expected expression", _expected_expression),
    ("syntax: unterminated string", _unterminated_string),
    ("syntax: expected variable in for", lambda place: _LOOPS),
    ("syntax: expected ':'", lambda place: _LOOPS if "for" in place.before[-12:] else ""),
    ("syntax: expected variable after 'let'", lambda place: f"a variable begins with $: let ${place.here} = …;"),
    ("Unknown identifier", _unknown_identifier),
    ("Unknown function", _unknown_function),
    ("Undefined or undeclared variable", _undefined_variable),
    ("Undefined map", _undefined_map),
    ("Cannot resolve unknown type", _unknown_type),
    ("unsupported format specifier", _wrong_specifier),
    ("too many arguments for format", _wrong_count),
    ("not enough arguments for format", _wrong_count),
    ("Type mismatch for '", _compared),
    ("Type mismatch for ", _assigned),
    ("Argument mismatch for @", _two_kinds_of_key),
    ("The + operator can not be used", _strings_added),
    ("unable to fold literals", _folded),
    ("Can not access field", _field_of_number),
    ("unroll maximum value", lambda place: "a loop can go on for longer: for ($i : 0..1000) { … }"),
    ("'break' statement", lambda place: "break leaves a loop; a probe is left by return"),
    ("'continue' statement", lambda place: "continue belongs to a loop; a probe is left by return"),
    ("No probes to attach", _missing_brace),
    ("The retval builtin can only", _retval),
    ("The args builtin can not", _args),
    ("The arg", _arg_on_return),
    ("tracepoint probe type requires", _number_of_parts),
    ("Invalid rate of", _rate),
    ("@", lambda place: _two_kinds_of_map(place) if "scalar map" in place.message else ""),
    ("", _late),
)
