"""Sessions: a kprobe and a kretprobe on the same functions become one program with one link, where the kernel can do that.

Linux commit 535a3692ba72 "bpf: Add support for kprobe session attach" (in v6.10).  The kernel runs the program at entry and at
return, and bpf_session_is_return() tells which; a result that is not 0 at entry would leave out the return.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.scope import Instance, Script

FEATURE = "kprobe_session"


def find_pairs(script: Script) -> dict[int, Instance]:
    """Return the kretprobe that belongs to a kprobe, by the id of the kprobe's instance."""
    found: dict[int, Instance] = {}
    entries = [instance for instance in script.instances if instance.provider == "kprobe"]
    returns = [instance for instance in script.instances if instance.provider == "kretprobe"]
    for entry in entries:
        same = [instance for instance in returns if _place(instance) == _place(entry)]
        alone = [instance for instance in entries if _place(instance) == _place(entry)]
        if len(same) == len(alone) == 1 and _is_simple(entry) and _is_simple(same[0]):
            found[id(entry)] = same[0]
    return found if found and script.has_feature(FEATURE) else {}


def _place(instance: Instance) -> tuple[str, str]:
    return instance.point.module, instance.point.function


def _is_simple(instance: Instance) -> bool:
    """True for the only attach point of a probe: a whole function of any module, or all functions of a pattern at once."""
    point = instance.point
    if len(instance.probe.attach_points) != 1 or point.offset or point.address is not None:
        return False
    return len(instance.matches) > 1 or not (point.is_pattern or point.module)


def lower_pair(low: Lowerer, at_return: Instance, *, filtered: bool) -> None:
    """Lower both probes into one program; `filtered`: for one process only."""
    b = low.b
    other = Lowerer(low.script, low.unit, at_return, low.function)
    other.callbacks, other.program_index = low.callbacks, low.program_index
    low.always_zero = True
    entry, leaving = b.new_block(), b.new_block()
    b.branch(b.compare(op.NE, b.and_(b.kfunc("bpf_session_is_return"), 0xFF), 0), leaving, entry)
    for each, block in ((low, entry), (other, leaving)):
        each.b.at(block)
        if filtered:
            each.filter_pid()
        each.body()
