"""The command line without a kernel: what goes where, exit statuses, no traceback for bad input."""

from __future__ import annotations

import subprocess
import sys

import pytest

import probee.cli.main
import probee.cli.run
import probee.cli.script
from probee.cli.main import main
from probee.cli.options import parse
from probee.cli.script import read_script
from probee.errors import ParseError, PermissionMissing, UsageError, make_span

NO_LLVM = "there is no LLVM in probee, so there is no LLVM IR to write: --emit ir shows probee's own IR"


def test_help_is_on_stdout_and_no_error(capsys):
    assert main(["-h"]) == 0
    assert capsys.readouterr().out.startswith("USAGE:")


def test_no_words_at_all_show_the_usage_as_an_error(capsys):
    assert main([]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("USAGE:\n")


def test_the_version_starts_with_a_v(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("probee v")


@pytest.mark.parametrize(
    "words, first_line",
    [
        (["--nope"], "ERROR: unrecognized option '--nope'"),
        (["-q"], "ERROR: filename or -e 'program' required."),
        (["/nonexistent/x.bt"], "ERROR: failed to open file '/nonexistent/x.bt': No such file or directory"),
        (["-p", "x1", "-e", "begin {}"], "ERROR: Failed to parse pid: invalid integer: x1"),
        (["-c", "/nonexistent/x", "-e", "begin {}"], "ERROR: path '/nonexistent/x' does not exist or is not executable"),
        (["--emit-llvm", "x", "-e", "begin {}"], f"ERROR: {NO_LLVM}"),
        (["--fmt", "-e", "begin {"], "stdin:1:8-8: ERROR: syntax: expected '}'"),
        (["-l", "a", "b"], "ERROR: -l takes one pattern or file; several patterns stand between commas, in quotes."),
        (["-p", "4194304", "-e", "begin {}"], "ERROR: Failed to attach to pid 4194304: there is no such process"),
    ],
)
def test_bad_input_is_one_clear_line_and_status_one(capsys, words, first_line):
    assert main(words) == 1
    assert capsys.readouterr().err.split("\n")[0] == first_line


def test_a_compile_error_is_shown_with_place_line_and_tildes(capsys, monkeypatch):
    def fail(*_):
        raise ParseError("unexpected thing", make_span(6, 9))

    monkeypatch.setattr(probee.cli.script, "_object_for", fail)
    assert main(["-e", "begin { }"]) == 1
    assert capsys.readouterr().err == "stdin:1:7-10: ERROR: unexpected thing\nbegin { }\n      ~~~\n"


@pytest.mark.parametrize("error, status", [(KeyboardInterrupt(), 130), (PermissionMissing(1, "bpf", "needs CAP_BPF"), 1)])
def test_interrupts_and_missing_permissions_are_no_tracebacks(capsys, monkeypatch, error, status):
    def fail(*_):
        raise error

    monkeypatch.setattr(probee.cli.run, "run", fail)
    assert main(["-e", "begin {}"]) == status
    assert "Traceback" not in capsys.readouterr().err


def test_a_first_word_that_is_a_subcommand_is_that_unless_it_is_a_path(capsys):
    assert main(["target"]) == 1
    assert "probee target dump FILE" in capsys.readouterr().err
    assert main(["./target"]) == 1
    assert "failed to open file './target'" in capsys.readouterr().err
    assert main(["target.bt"]) == 1
    assert "failed to open file 'target.bt'" in capsys.readouterr().err


def test_a_target_is_not_written_to_a_file_that_looks_like_an_option(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert (main(["target", "dump", "--help"]), main(["target", "dump", "-x"])) == (0, 1)
    told = capsys.readouterr()
    assert told.out.startswith("USAGE: probee target dump") and told.err.startswith("USAGE: probee target dump")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("subcommand", ["run", "list", "demo", "target", "build"])
def test_every_subcommand_tells_what_it_takes(capsys, subcommand):
    assert main([subcommand, "-h"]) == 0
    assert capsys.readouterr().out.startswith("USAGE:")


def test_run_takes_a_file(capsys):
    assert main(["run", "nothing.bt"]) == 1
    assert "failed to open file 'nothing.bt'" in capsys.readouterr().err


def script_of(*words: str):
    return read_script(parse(list(words)))


def test_parameters_are_what_follows_the_program():
    script = script_of("-e", "begin {}", "a", "5")
    assert (script.name, script.text, script.parameters) == ("stdin", "begin {}", ["a", "5"])


def test_after_two_dashes_named_parameters_are_told_apart(tmp_path):
    path = tmp_path / "x.bt"
    path.write_text("begin {}")
    script = script_of(str(path), "one", "--", "two", "--name=5", "--flag")
    assert (script.name, script.parameters, script.named) == (str(path), ["one", "two"], ["--name=5", "--flag"])


def test_a_file_after_two_dashes_is_the_script(tmp_path):
    path = tmp_path / "x.bt"
    path.write_text("begin {}")
    assert script_of("--", str(path), "a").parameters == ["a"]


@pytest.mark.parametrize("number, name", [(28, "No space left on device"), (5, "Input/output error")])
def test_output_that_cannot_be_written_is_an_error_and_no_traceback(capsys, monkeypatch, number, name):
    def fail(*_):
        raise OSError(number, name)

    monkeypatch.setattr(probee.cli.run, "run", fail)
    monkeypatch.setattr(probee.cli.main, "_close_stdout", lambda: None)
    assert main(["-e", "begin {}"]) == 1
    assert capsys.readouterr().err == f"ERROR: cannot write the output: {name}\n"


def test_other_errors_of_the_system_are_not_taken_for_failed_output(monkeypatch):
    def fail(*_):
        raise OSError(2, "No such file or directory", "/nothing")

    monkeypatch.setattr(probee.cli.run, "run", fail)
    with pytest.raises(OSError, match="/nothing"):
        main(["-e", "begin {}"])


def test_a_full_disk_is_told():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "probee", "-h"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.stderr, done.returncode) == ("ERROR: cannot write the output: No space left on device\n", 1)


def test_closed_standard_streams_are_opened_on_nowhere():
    script = f"{sys.executable} -m probee -h <&- >&- 2>&-; exec {sys.executable} -m probee - <&-"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert "No probes to attach" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(probee.cli.script, "LONGEST", 1 << 20)
    with pytest.raises(UsageError, match="'/dev/zero' is longer than 1 MB"):
        script_of("/dev/zero")


def test_a_byte_order_mark_is_no_part_of_the_script(tmp_path):
    path = tmp_path / "x.bt"
    path.write_bytes(b"\xef\xbb\xbfbegin {}")
    assert script_of(str(path)).text == "begin {}"


@pytest.mark.parametrize("option", ["--btf", "--target"])
def test_a_description_of_a_kernel_that_is_not_there_is_told(capsys, option):
    assert main([option, "/no/such", "-e", "begin {}"]) == 1
    assert capsys.readouterr().err == "ERROR: failed to open file '/no/such': No such file or directory\n"
