"""A bpftrace script compiled for this kernel and run in this process, for what it prints."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from probee.kernel.target import LiveTarget
from probee.outputs.text import TextOutput
from probee.runtime.session import Session


def printed(script: str, *, options: dict[str, object] | None = None, command: Sequence[str] = (), pid: int = 0) -> str:
    """Return what a script printed by its end; it may complain of nothing."""
    from probee.compiler.compile import compile  # not before a test has had its say whether it is skipped

    out, err = BytesIO(), BytesIO()
    asked = {"has_pid": bool(pid), "has_child": bool(command), **(options or {})}
    with Session(compile(script, LiveTarget(), asked), command=command, pid=pid) as session:
        writer = TextOutput(out, err, session.source, quiet=True)
        for batch in session.batches():
            writer.write(batch)
        writer.close()
    assert not err.getvalue(), err.getvalue().decode()
    return out.getvalue().decode()


def lines(script: str, *, command: Sequence[str] = (), pid: int = 0) -> list[str]:
    """Return the lines that a script printed, those of `printed` that are not empty."""
    return [line for line in printed(script, command=command, pid=pid).splitlines() if line]
