"""Actions: what happens in user space when a record arrives, one Handler per Action, made once.

Those that touch maps or end the session do it through the Session.  printf, which comes in millions, is render.py's.
"""

from __future__ import annotations

from probee.errors import FormatError
from probee.model import event as events
from probee.model.printf import compile_format, parse_format
from probee.model.spec import Action
from probee.runtime.decode import record_decoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from probee.runtime.session import Session

    One = Callable[[bytes, int, int], events.Event | None]
    Many = Callable[[bytes, int, int], list[events.Printf]]


class Handler:
    """`one(data, offset, length)` carries out one record's action and returns the event to yield, or None.

    `many(data, offset, count)` does the same for `count` records that follow each other; None when there is no such short cut.
    """

    __slots__ = ("many", "one")

    def __init__(self, one: One, many: Many | None = None) -> None:
        self.one = one
        self.many = many


def make_handler(action: Action, session: Session) -> Handler:
    """Return the handler of one action."""
    if action.kind == "printf":
        from probee.runtime.render import printf_functions

        return Handler(*printf_functions(action, session.resolver, session.trailer))
    make = _MAKERS.get(action.kind)
    if make is None:
        raise FormatError(f"the program asks for an action that this version does not know: {action.kind}")
    return Handler(make(action, session))


def _fields(action: Action, session: Session) -> Callable[[bytes, int, int], tuple[Any, ...]]:
    """Return a function from a record to the values of its fields."""
    return record_decoder(action.fields, action.size, session.resolver)


def _rendered(action: Action, session: Session) -> Callable[[bytes, int, int], str]:
    decode = _fields(action, session)
    types = [type for _, type in action.fields]
    render = compile_format(parse_format(action.text), types, trailer=session.trailer)
    return lambda data, offset, length: render(decode(data, offset, length))


def _message(action: Action, session: Session) -> One:
    render = _rendered(action, session)
    severity = "error" if action.kind == "errorf" else "warning"
    if severity == "warning" and not session.warnings:
        return _nothing
    return lambda data, offset, length: events.Message(severity, render(data, offset, length), action.span, action.parents)


def _nothing(data: bytes, offset: int, length: int) -> None:
    return None


def _print(action: Action, session: Session) -> One:
    types = [type for _, type in action.fields]
    if len(types) == 2:
        decode = _fields(action, session)

        def entry(data: bytes, offset: int, length: int) -> events.Event:
            key, value = decode(data, offset, length)
            return events.Value(types[1], value, name=action.text, key_type=types[0], key=key)

        return entry
    decode_value = _fields(action, session)
    type = types[0]
    return lambda data, offset, length: events.Value(type, decode_value(data, offset, length)[0])


def _print_map(action: Action, session: Session) -> One:
    decode = _fields(action, session)
    literal = tuple(int(number) for number in action.parameters)

    def handle(data: bytes, offset: int, length: int) -> events.Event:
        top, div = (*decode(data, offset, length), *literal, 0, 0)[:2]
        return events.Map(session.printed(action.text, top=top, div=div))

    return handle


def _clear(action: Action, session: Session) -> One:
    def handle(data: bytes, offset: int, length: int) -> None:
        live = session.live_map(action.text)
        live.clear() if action.kind == "clear" else live.zero()

    return handle


def _exit(action: Action, session: Session) -> One:
    decode = _fields(action, session)

    def handle(data: bytes, offset: int, length: int) -> events.Event:
        values = decode(data, offset, length)
        status = int(values[0]) & 255 if values else 0
        session.exit(status)
        return events.Exit(status)

    return handle


def _time(action: Action, session: Session) -> One:
    def handle(data: bytes, offset: int, length: int) -> events.Event:
        import time

        return events.Text("time", time.strftime(action.text, time.localtime()))

    return handle


def _process(action: Action, session: Session) -> One:
    decode = _fields(action, session)

    def handle(data: bytes, offset: int, length: int) -> None:
        session.resolver.remember(int(decode(data, offset, length)[0]))

    return handle


def _join(action: Action, session: Session) -> One:
    decode = _fields(action, session)

    def handle(data: bytes, offset: int, length: int) -> events.Event:
        words = []
        for word in decode(data, offset, length):
            if not word:
                break
            words.append(word.decode("utf-8", "surrogateescape"))
        return events.Text("join", action.text.join(words))

    return handle


def _cat(action: Action, session: Session) -> One:
    render = _rendered(action, session)
    limit = int(session.spec.options.get("max_cat_bytes", 10240))

    def handle(data: bytes, offset: int, length: int) -> events.Event:
        name = render(data, offset, length)
        try:
            with open(name, "rb") as file:
                return events.Text("cat", file.read(limit).decode("utf-8", "surrogateescape"))
        except OSError as error:
            return events.Problem(f"failed to open file '{name}' ({error.strerror})")
        except ValueError:  # a NUL in the name
            return events.Problem(f"failed to open file '{name}' (No such file or directory)")

    return handle


def _system(action: Action, session: Session) -> One:
    render = _rendered(action, session)

    def handle(data: bytes, offset: int, length: int) -> events.Event | None:
        if session.hurries:
            session.left_out += 1
            return None
        from subprocess import PIPE, STDOUT, run

        done = run(["sh", "-c", render(data, offset, length)], stdout=PIPE, stderr=STDOUT, check=False)
        return events.Text("system", done.stdout.decode("utf-8", "surrogateescape"))

    return handle


def _runtime_warning(action: Action, session: Session) -> One:
    if not session.warnings:
        return _nothing
    decode = _fields(action, session)
    helper = str(action.parameters[0]) if action.parameters else ""

    def handle(data: bytes, offset: int, length: int) -> events.Event:
        values = decode(data, offset, length)
        code = int(values[0]) if values else 0
        text = action.text or helper_text(helper, code)
        return events.RuntimeWarning(text, action.span, helper=helper, code=code, parents=action.parents)

    return handle


def helper_text(helper: str, code: int) -> str:
    """Return what it means that a helper function returned `code`."""
    if helper == "map_update_elem" and code == -7:
        return (
            "Map full; can't update element. Try increasing max_map_keys config or manually setting the max entries in a map "
            "declaration e.g. `let @a = hash(5000)`"
        )
    if helper == "map_delete_elem" and code == -2:
        return "Can't delete map element because it does not exist."
    if helper == "map_lookup_elem":
        return "Can't lookup map element because it does not exist."
    import os

    return os.strerror(-code)


_MAKERS: dict[str, Callable[[Action, Session], One]] = {
    "errorf": _message,
    "warnf": _message,
    "print": _print,
    "print_map": _print_map,
    "clear": _clear,
    "zero": _clear,
    "exit": _exit,
    "process": _process,
    "time": _time,
    "join": _join,
    "cat": _cat,
    "system": _system,
    "runtime_warning": _runtime_warning,
    "strftime": lambda action, session: _nothing,
    "skboutput": lambda action, session: _nothing,  # packets come another way: see packet.py
}
