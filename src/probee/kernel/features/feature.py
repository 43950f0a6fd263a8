"""has(name): whether the running kernel has a feature; answers are kept for the process and may be given beforehand.

A feature that cannot be asked for lack of permission is an error (PermissionMissing), not "no".
"""

from __future__ import annotations

from probee.errors import FeatureMissing, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_answers: dict[str, bool] = {}


def has(name: str) -> bool:
    """Return whether the kernel has the feature `name` of table.py, or the kernel function of "kfunc:NAME"."""
    answer = _answers.get(name)
    if answer is None:
        answer = _answers[name] = _attempt(name)
    return answer


def require(name: str, message: str = "") -> None:
    """Raise FeatureMissing, which names the Linux version that has it, unless the kernel has the feature."""
    if has(name):
        return
    from probee.kernel.features.table import FEATURES

    since = FEATURES[name][2] if name in FEATURES else "a later version"
    raise FeatureMissing(name, since, message)


def preload(answers: Mapping[str, bool]) -> None:
    """Take answers found earlier on this very kernel, so that nothing is probed."""
    _answers.update(answers)


def export() -> dict[str, bool]:
    """Return all answers so far, for `preload` in a later process of the same boot."""
    return dict(_answers)


def forget() -> None:
    """Drop all answers; the next questions go to the kernel."""
    _answers.clear()


def probe_all() -> dict[str, bool]:
    """Ask for every feature of the table and return the answers."""
    from probee.kernel.features.table import FEATURES

    return {name: has(name) for name in FEATURES}


def describe() -> list[tuple[str, bool, str]]:
    """Return (name, answer, since) of every feature in the table, by name."""
    from probee.kernel.features.table import FEATURES

    return [(name, has(name), FEATURES[name][2]) for name in sorted(FEATURES)]


def _attempt(name: str) -> bool:
    from probee.kernel.features.attempt import attempt, kernel_function
    from probee.kernel.features.table import FEATURES

    if name.startswith("kfunc:"):
        return kernel_function(name[6:])
    if name not in FEATURES:
        raise UsageError(f"no feature is called {name}; `probee --info` lists them")
    kind, argument, _, _ = FEATURES[name]
    return attempt(kind, argument)
