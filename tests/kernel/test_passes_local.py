"""Reading neighbouring fields at once: on a live kernel the numbers are those that single reads give."""

from __future__ import annotations

import os

import pytest

from script_run import printed

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


def test_neighbours_read_at_once_are_what_they_are_alone() -> None:
    alone = printed(SCRIPT, options={"local": False})
    assert alone.split()[0] == str(os.getppid())
    assert printed(SCRIPT, options={"local": True}) == alone
