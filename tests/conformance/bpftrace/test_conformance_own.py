"""Our own cases (tests/conformance/cases), run on this machine as upstream's are: by forks of one preloaded interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from case import number, parse
from feature import ALONE
from judge import Result

HERE = Path(__file__).parent
CASES = HERE.parent / "cases"
ALL = number([case for path in sorted(CASES.glob("*.case")) for case in parse(path.stem, path.read_text())])


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    if os.geteuid() != 0:
        pytest.skip("loading programs needs root")
    if not _has_bpf():
        pytest.skip("this kernel has no BPF test runs")
    place = tmp_path_factory.mktemp("conformance")
    command = [sys.executable, str(HERE / "run.py"), "--cases", str(CASES), "--again", "--json", str(place / "results")]
    environment = {**os.environ, "XDG_CACHE_HOME": str(place)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=100)
    assert (place / "results").exists(), done.stdout + done.stderr
    return {ident: Result.from_dict(values) for ident, values in json.loads((place / "results").read_text()).items()}


def _has_bpf() -> bool:
    from probee.kernel.features.feature import has

    return has("ringbuf") and os.path.exists("/sys/kernel/btf/vmlinux")


def test_there_are_cases_of_every_idea_and_none_sees_others() -> None:
    assert len(ALL) >= 60
    assert len({case.suite for case in ALL}) >= 8
    assert all(case.providers <= ALONE for case in ALL)


@pytest.mark.parametrize("ident", [case.ident for case in ALL])
def test_case(ident: str, results: dict[str, Result]) -> None:
    result = results[ident]
    assert result.status == "passed", f"{result.why}\n{result.output}"
