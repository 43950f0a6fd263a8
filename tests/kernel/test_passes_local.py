"""Reading neighbouring fields at once: on a live kernel the numbers are those that single reads give."""

from __future__ import annotations

import os
from io import BytesIO

import pytest

from probee.compiler.compile import compile
from probee.kernel.target import LiveTarget
from probee.outputs.text import TextOutput
from probee.runtime.session import Session

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="loading programs needs root"),
]

SCRIPT = """BEGIN {
    $task = (struct task_struct *)curtask;
    $parent = $task->real_parent;
    printf("%d %d %d %s\\n", $parent->pid, $parent->tgid, $parent->exit_signal, $parent->comm);
    printf("%d %d %d %d\\n", $task->pid, $task->tgid, $task->prio, $task->static_prio);
    exit();
}"""


def printed(*, local: bool) -> str:
    out = BytesIO()
    with Session(compile(SCRIPT, LiveTarget(), {"local": local})) as session:
        writer = TextOutput(out, BytesIO(), session.source)
        for batch in session.batches():
            writer.write(batch)
        writer.close()
    return out.getvalue().decode()


def test_neighbours_read_at_once_are_what_they_are_alone() -> None:
    alone = printed(local=False)
    assert alone.split()[0] == str(os.getppid())
    assert printed(local=True) == alone
