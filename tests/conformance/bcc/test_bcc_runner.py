"""The runner's own parts: what it reads in a checkout, what it makes of a tool's words and end, its tables."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

HERE = Path(__file__).parent
MODULES = ("process", "upstream", "command", "stimulus", "tool", "table", "child")

SMOKE = """
class SmokeTests(TestCase):
    def test_opensnoop(self):
        self.run_with_int("opensnoop.py -d 1")
    def test_twice(self):
        self.run_with_duration("opensnoop.py other")
    def test_tplist(self):
        self.run_with_duration("tplist.py -p %d" % os.getpid())
    def test_f2fsslower(self):
        if (self.kmod_loaded("f2fs")):
            self.run_with_int("f2fsslower.py", allow_early=True)
    def test_nothing(self):
        pass
    def test_same(self):
        pass
    def test_same(self):
        self.run_with_int("execsnoop.py")
"""
CMAKE = "${TEST_WRAPPER} py_some namespace ${CMAKE_CURRENT_SOURCE_DIR}/test_some.py a.c b.c)"


@pytest.fixture(scope="module")
def runner() -> Iterator[SimpleNamespace]:
    """The runner's modules; bpftrace's runner has some of the same names."""
    kept = {name: sys.modules.pop(name, None) for name in MODULES}
    sys.path.insert(0, str(HERE))
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    sys.path.remove(str(HERE))
    for name, module in kept.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    tests, tools = tmp_path / "tests" / "python", tmp_path / "tools"
    tests.mkdir(parents=True)
    tools.mkdir()
    (tests / "test_tools_smoke.py").write_text(SMOKE)
    (tests / "test_some.py").write_text("class A(TestCase):\n    def test_one(self): pass\nclass B: pass\n")
    (tests / "CMakeLists.txt").write_text(CMAKE)
    for name in ("opensnoop", "tplist", "f2fsslower", "deadlock", "unknown"):
        (tools / f"{name}.py").write_text("")
    return tmp_path


def test_every_method_and_every_tool_is_a_case(runner: SimpleNamespace, checkout: Path) -> None:
    cases = {case.ident: case for case in runner.upstream.cases_of(checkout)}
    assert len([ident for ident in cases if ident.startswith("test_tools_smoke.")]) == 6
    some = cases["test_some.A.test_one"]
    assert (some.kind, some.arguments) == ("namespace", ["a.c", "b.c"])
    assert sorted(ident for ident in cases if ident.startswith("tools.")) == [
        "tools.deadlock", "tools.f2fsslower", "tools.opensnoop", "tools.tplist", "tools.unknown",
    ]  # fmt: skip


def test_a_tool_gets_the_words_of_its_first_smoke_test(runner: SimpleNamespace, checkout: Path) -> None:
    cases = {case.ident: case for case in runner.upstream.cases_of(checkout)}
    assert cases["tools.opensnoop"].arguments == ["-d", "1"]
    assert cases["tools.tplist"].arguments == ["-p", "{pid}"]
    assert cases["tools.unknown"].arguments == []
    assert "{libc}" in cases["tools.deadlock"].arguments


def test_a_method_tells_which_module_it_skips_itself_without(runner: SimpleNamespace, checkout: Path) -> None:
    cases = {case.ident: case for case in runner.upstream.cases_of(checkout)}
    assert cases["test_tools_smoke.SmokeTests.test_f2fsslower"].modules == ("f2fs",)
    assert cases["test_tools_smoke.SmokeTests.test_opensnoop"].modules == ()


def test_methods_that_upstream_left_empty_are_known(runner: SimpleNamespace, checkout: Path) -> None:
    smoke = checkout / "tests" / "python" / "test_tools_smoke.py"
    assert runner.upstream.idle_methods(smoke) == ["SmokeTests.test_nothing"]


TRACE = 'Tracing...\nTraceback (most recent call last):\n  File "x.py", line 1, in f\n    g()\n'
ASKED = (0, 2)  # a status after SIGINT


@pytest.mark.parametrize(
    ("end", "links", "text", "why"),
    [
        (0, 1, "Tracing...\n", ""),
        (ASKED, 3, "", ""),
        ((130, 2), 3, "^C", ""),
        (ASKED, 0, "Tracing...\n", "nothing attached: Tracing..."),
        (0, 0, "\nERROR: no such event\n  use another\n", "nothing attached: ERROR: no such event"),
        (1, 2, "Tracing\n\nbad\n", "exit status 1: bad"),
        (1, 0, f"{TRACE}bcc.E: Failed to attach\nUnable to: no f\n", "exit status 1: bcc.E: Failed to attach Unable to: no f"),
        (ASKED, 1, f"{TRACE}ValueError: 1\nmore\n", "raised: ValueError: 1 more"),
        ((130, 2), 1, f"{TRACE}KeyboardInterrupt\n", ""),
        ((1, 2), 1, f"{TRACE}KeyboardInterrupt\n", ""),
        ((1, 2), 1, f"{TRACE}KeyboardInterrupt\n{TRACE}OSError: gone\n", "raised: OSError: gone"),
        ((1, 2), 1, f"{TRACE}OSError: gone\n{TRACE}KeyboardInterrupt\n", "raised: KeyboardInterrupt"),
        ((1, 2), 1, "Tracing...\nfailed to detach\n", "exit status 1 after SIGINT: failed to detach"),
        ((1, 2), 1, "", "exit status 1 after SIGINT"),
        ((3, 2), 1, f"{TRACE}KeyboardInterrupt\n", "exit status 3 after SIGINT: KeyboardInterrupt"),
        ((139, 2), 1, "Detaching...\n", "ended by SIGSEGV after SIGINT: Detaching..."),
        ((143, 2), 1, "", "ended by SIGTERM after SIGINT"),
        ((137, 2, True), 1, "Tracing...\n", "had to be killed, it did not end after SIGINT: Tracing..."),
        ((137, 2, True), 0, "no such event\n", "nothing attached: no such event"),
        (137, 1, "Tracing...\n", "ended by SIGKILL: Tracing..."),
        (130, 1, "", "ended by SIGINT"),
        (124, 1, "", "exit status 124"),
        (ASKED, 1, TRACE.replace("in f", "in attach_kprobe") + "KeyboardInterrupt\n", "raised: KeyboardInterrupt"),
        (0, 1, f"{TRACE}SystemExit: None\n", ""),
        (1, 0, "\x1b[2J\x1b[1;1HCannot go on\r\n", "exit status 1: Cannot go on"),
    ],
)
def test_a_tool_passes_when_it_attached_and_ended_in_order(
    runner: SimpleNamespace, end: int | tuple[int, ...], links: int, text: str, why: str
) -> None:
    end = (end,) if isinstance(end, int) else end
    assert runner.tool.verdict(runner.command.End(*end), links, text) == why


def test_commands_of_the_smoke_tests_are_known_by_their_form(runner: SimpleNamespace) -> None:
    found = runner.child._TIMEOUT.match("timeout -s INT -k 5s 10s ../../tools/trace.py do_sys_open > /dev/null")
    assert found and found.groups() == ("INT", "5", "10", "../../tools/trace.py do_sys_open")
    assert runner.child._TIMEOUT.match("timeout -s KILL 10s x > /dev/null").groups() == ("KILL", None, "10", "x")
    assert not runner.child._TIMEOUT.match("ping -c 1 127.0.0.1")


def test_a_command_on_a_terminal_is_ended_by_its_signal(runner: SimpleNamespace, capfd: pytest.CaptureFixture[str]) -> None:
    words = "test -t 1 && echo terminal; trap 'echo asked; exit 3' INT; while :; do sleep 0.05; done"
    end = runner.command.run_command(words, "INT", 0.5, 5, {0: 0}, 1.0, terminal=True)
    assert end == (3, 2, False)
    assert end.told == 124
    assert capfd.readouterr().out.replace("^C", "").split() == ["terminal", "asked"]


def test_a_command_that_ends_early_tells_its_status(runner: SimpleNamespace) -> None:
    end = runner.command.run_command("exit 7", "KILL", 5, 0, {0: 0}, 1.0, terminal=False)
    assert (end, end.told) == ((7, 0, False), 7)


@pytest.mark.parametrize(
    ("command", "kind", "found", "told"),
    [
        ("trap '' INT; echo; while :; do sleep 0.05; done", "INT", (137, 2, True), 137),
        ("trap 'kill -SEGV $$' INT; while :; do sleep 0.05; done", "INT", (139, 2, False), 124),
        ("exec sleep 60", "INT", (130, 2, False), 124),
        ("exec sleep 60", "KILL", (137, 9, True), 137),
        ("kill -SEGV $$", "INT", (139, 0, False), 139),
    ],
)
def test_how_a_command_ended_after_its_signal_is_kept(
    runner: SimpleNamespace, command: str, kind: str, found: tuple[int, int, bool], told: int
) -> None:
    end = runner.command.run_command(command, kind, 0.5, 1, {0: 0}, 1.0, terminal=False)
    assert (end, end.told) == (found, told)


def test_tools_that_are_not_seen_attached_are_listed_with_their_words(runner: SimpleNamespace) -> None:
    case = runner.upstream.Case
    results = [
        (case("test_tools_smoke", "A.x", []), {"status": "passed", "why": ""}),
        (case("test_clang", "A.y", []), {"status": "failed", "why": "it is bad"}),
        (case("tools", "one", []), {"status": "passed", "why": ""}),
        (case("tools", "two", []), {"status": "failed", "why": "nothing attached: no module"}),
    ]
    text = runner.table.tables(results, ["one", "two", "three"], ["A.x"])
    assert "tools: 1 of 3 load and attach" in text
    assert "  two: nothing attached: no module" in text
    assert "  three: not run" in text
    assert "1 run nothing" in text
    assert [line.split() for line in text.splitlines() if line.startswith("methods but smoke")] == [
        ["methods", "but", "smoke", "0", "1", "0"]
    ]
