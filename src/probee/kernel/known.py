"""Feature answers kept for the boot: what one run of probee found out about this kernel, the next one need not ask again.

One small file in the cache directory, named after the boot; a line per feature.  Root's answers and another user's differ (what
may not be tried counts as missing), so each user has his own, as the directory is his own.
"""

from __future__ import annotations

from probee.kernel.answer import boot_id
from probee.kernel.cachedir import cache_directory, keep_newest, write_whole
from probee.kernel.features.feature import export, preload

_SUFFIX = ".features"
_BOOTS_KEPT = 4


def restore() -> dict[str, bool]:
    """Take the answers of earlier runs of this boot; returns them, for `keep` to see whether there are new ones."""
    path = _path()
    answers: dict[str, bool] = {}
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            for line in file:
                name, _, answer = line.rstrip("\n").partition(" ")
                if answer in ("0", "1"):
                    answers[name] = answer == "1"
    except OSError:
        return {}
    preload(answers)
    return answers


def keep(before: dict[str, bool]) -> None:
    """Write the answers down when there are more than `before`; not being able to is no error."""
    answers, path = export(), _path()
    if path and answers != before:
        text = "".join(f"{name} {int(answer)}\n" for name, answer in sorted(answers.items()))
        if write_whole(path, text.encode("ascii", "replace")):
            keep_newest(path.rpartition("/")[0], _SUFFIX, _BOOTS_KEPT)


def _path() -> str:
    boot, directory = boot_id(), cache_directory("features")
    return f"{directory}/{boot}{_SUFFIX}" if boot and directory is not None else ""
