"""The runner's own parts: commands, skips, what is kept, tables; nothing is run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import scratch
import speed
import store
import tool
from case import Case, parse
from feature import Place, version
from isolation import names_processes
from judge import Result
from launch import FLAG, plain_words, words
from stimulus import STIMULI, stimulated
from table import passed_of, tables
from tool import second_chance, tool_cases

INFO = "Kernel features\n  btf: yes\n  kprobe_multi: no\nBuild\n  libdw (DWARF support): no\n"


def one(text: str) -> Case:
    (case,) = parse("suite", f"NAME x\n{text}")
    return case


def test_a_program_becomes_arguments_and_json_is_asked_for_when_it_is_expected() -> None:
    assert words("begin { }", json=False) == [FLAG, "-e", "begin { }"]
    assert words("begin { }", json=True) == ["-q", "-f", "json", FLAG, "-e", "begin { }"]


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("""{{BPFTRACE}} -e 'begin { @[1] = $1; }' "a b" 2""", ["-e", "begin { @[1] = $1; }", "a b", "2"]),
        ("""{{BPFTRACE}} -l "kprobe:*" """, ["-l", "kprobe:*"]),
        ("{{BPFTRACE}} -l kprobe:*", None),
        ("{{BPFTRACE}} -l | grep x", None),
        ("""{{BPFTRACE}} -e "$(cat x)" """, None),
        ("sleep 1; {{BPFTRACE}} -l", None),
    ],
)
def test_a_shell_is_used_where_one_is_needed(command: str, wanted: list[str] | None) -> None:
    assert plain_words(command) == (None if wanted is None else [FLAG, *wanted])


def test_cases_that_look_for_processes_by_name_are_known() -> None:
    assert names_processes(one("PROG x\nAFTER kill $(pidof bpftrace)"))
    assert not names_processes(one("PROG x\nAFTER ./testprogs/x"))


def skip_reason(text: str, tmp_path: Path, *, guest: bool = True) -> tuple[str, bool]:
    skip = Place(tmp_path, lambda: INFO, guest=guest).skip(one(text))
    return ("", False) if skip is None else (skip.why, skip.excused)


def test_features_are_read_from_info_and_what_only_we_lack_is_not_excused(tmp_path: Path) -> None:
    assert skip_reason("PROG x\nREQUIRES_FEATURE btf !kprobe_multi", tmp_path) == ("", False)
    assert skip_reason("PROG x\nREQUIRES_FEATURE btf kprobe_multi", tmp_path) == ("feature kprobe_multi", True)
    assert skip_reason("PROG x\nREQUIRES_FEATURE dwarf", tmp_path) == ("feature dwarf", False)
    assert skip_reason("PROG x\nREQUIRES_FEATURE loop", tmp_path) == ("feature loop", True)


def test_what_the_machine_lacks_is_a_reason_to_skip(tmp_path: Path) -> None:
    assert skip_reason("PROG x\nREQUIRES true", tmp_path) == ("", False)
    assert skip_reason("PROG x\nREQUIRES exit 3", tmp_path) == ("unmet: exit 3", True)
    assert skip_reason("PROG x\nMIN_KERNEL 99.1", tmp_path) == ("needs Linux 99.1", True)
    assert skip_reason("PROG x\nAFTER ./testprogs/none", tmp_path) == ("testprogs/none could not be built", True)
    assert skip_reason("PROG u:./testprogs/non*:f { }", tmp_path) == ("", False)
    (tmp_path / "testprogs").mkdir()
    (tmp_path / "testprogs" / "none").touch()
    assert skip_reason("PROG x\nAFTER ./testprogs/none 5", tmp_path) == ("", False)


def test_nothing_that_sees_others_runs_outside_a_guest(tmp_path: Path) -> None:
    why, excused = skip_reason("PROG k:f { } i:s:1 { }\nEXPECT 1", tmp_path, guest=False)
    assert (why.split(" ")[0], excused) == ("kprobe", False)
    assert skip_reason("PROG begin { } i:s:1 { }\nEXPECT 1", tmp_path, guest=False) == ("", False)


def test_kernel_versions_are_compared_by_number() -> None:
    assert version("6.12.1-x") > version("6.9") > version("5.10.2")
    assert version("6.1") == version("6.1.55-5-amd64")


def test_results_are_kept_until_probee_or_the_case_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(store, "stamp", lambda: "one")
    case = one("PROG x\nEXPECT 1")
    kept = store.Store("somewhere", tmp_path)
    assert kept.fresh(case) is None
    kept.keep(case, Result("failed", "because", "printed"))
    kept.save()
    again = store.Store("somewhere", tmp_path)
    fresh = again.fresh(case)
    assert fresh is not None and (fresh.status, fresh.why, fresh.output) == ("failed", "because", "printed")
    assert again.fresh(one("PROG y\nEXPECT 1")) is None
    monkeypatch.setattr(store, "stamp", lambda: "two")
    assert again.fresh(case) is None
    assert again.last(case) is not None


def test_the_percentage_counts_skips_unless_upstreams_binary_is_skipped_too() -> None:
    case = one("PROG begin { }\nEXPECT 1")
    results = [(case, Result("passed")), (case, Result("failed")), (case, Result("skipped", "a", excused=True))]
    assert passed_of(results) == (1, 2)
    results.append((case, Result("skipped", "b")))
    assert passed_of(results) == (1, 3)
    lines = tables(results).splitlines()
    assert "suite          1        1        2" in " ".join(lines)
    assert lines[-1].startswith("1 of 3 passed: 33.3 % of what upstream's binary can run; ")
    assert "447 of 457" in lines[-1]


def test_every_tool_is_listed_and_attached(tmp_path: Path) -> None:
    (tmp_path / "look.bt").write_text("begin { }")
    listed, attached = tool_cases(tmp_path)
    assert plain_words(listed.given["RUN"]) == [FLAG, "-l", str(tmp_path / "look.bt")]
    assert plain_words(attached.given["RUN"]) == [FLAG, "--unsafe", "-v", "--dry-run", str(tmp_path / "look.bt")]


def test_a_tool_that_fails_has_a_second_chance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "look.bt").write_text("kprobe:gone { }")
    functions = tmp_path / "functions"
    functions.write_text("there\nof_a_module [module]\n")
    monkeypatch.setattr(tool, "FUNCTIONS", functions)
    listed, attached = tool_cases(tmp_path)

    def chance(case: Case, printed: str, *, older: str = "failed") -> str:
        result = second_chance(case, lambda case: Result(older), lambda words: printed)
        return "none" if result is None else result.status

    assert chance(attached, "") == "skipped"
    assert chance(listed, "x:1:1-9: ERROR: No matches for kprobe gone.*.\n") == "skipped"
    assert chance(listed, "x:1:1-9: ERROR: No matches for kprobe the*.\n") == "none"
    assert chance(attached, "x:1:1-9: ERROR: No matches for kprobe gone.\n") == "none"
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "look.bt").write_text("kprobe:there { }")
    assert chance(attached, "kprobe:there\n") == "none"
    assert chance(attached, "kprobe:there\n", older="passed") == "passed"


def test_a_tool_that_is_made_to_print_is_ended_by_name_so_only_in_a_guest(tmp_path: Path) -> None:
    (tmp_path / "opensnoop.bt").write_text("tracepoint:a:b { }")
    (case,) = stimulated(tmp_path)
    assert case.given["AFTER"] == "cat /etc/hostname; sleep 1; pkill -INT bpftrace"
    assert names_processes(case)
    assert Place(tmp_path, lambda: INFO, guest=False).skip(case) is not None
    assert all(re.compile(wanted) for _, wanted in STIMULI.values())


def test_a_scratch_copy_leaves_the_checkout_alone_and_says_what_cannot_be_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    checkout = tmp_path / "checkout"
    for name in scratch._COPIED:
        (checkout / name).mkdir(parents=True)
    (checkout / "tests/testprogs/two.c").write_text("int main(void) { return 0; }\n")
    (checkout / "tests/testprogs/stale").write_bytes(b"\x7fELF")
    built: list[list[str]] = []

    def run(command: list[str], **unused: object) -> subprocess.CompletedProcess[bytes]:
        built.append(command)
        return subprocess.CompletedProcess(command, int(command[0] != "gcc"))

    monkeypatch.setattr(subprocess, "run", run)
    place = scratch.scratch(checkout)
    assert sorted(path.name for path in (checkout / "tests/testprogs").iterdir()) == ["stale", "two.c"]
    assert not (place / "tests/testprogs/stale").exists()
    outputs = [command[command.index("-o") + 1] for command in built if command[0] == "gcc"]
    assert outputs == ["testprogs/two", "testprogs/two-pie"]
    assert any("zip" in line for line in scratch.not_built(place))
    assert scratch.scratch(checkout) == place
    assert len(built) == len(set(map(tuple, built)))


def test_time_limits_grow_with_what_a_fixed_loop_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "_loop", lambda: speed.NOMINAL_S * 20)
    assert speed.measure() == 20
    monkeypatch.setattr(speed, "_loop", lambda: speed.NOMINAL_S / 2)
    assert speed.measure() == 1
