"""The command line's options, parsed as getopt_long does it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probee.cli.options import LETTERS, LONG, BadOption, check, parse, parse_pid
from probee.errors import UsageError


def test_options_may_follow_the_file_and_what_is_left_are_arguments():
    options = parse(["script.bt", "-v", "one", "--unsafe", "two"])
    assert (options.arguments, options.verbose, options.unsafe) == (["script.bt", "one", "two"], 1, True)


def test_letters_can_be_run_together_and_hold_their_value():
    options = parse(["-qve", "begin {}", "-fjson", "-p7"])
    assert (options.quiet, options.verbose, options.program, options.format, options.pid) == (True, 1, "begin {}", "json", "7")


def test_a_long_option_takes_its_value_with_or_without_an_equals_sign():
    assert parse(["--format=json"]).format == "json"
    assert parse(["--format", "json"]).format == "json"


def test_a_long_option_may_be_cut_short_while_it_is_clear():
    assert parse(["--verb"]).verbose == 1
    with pytest.raises(BadOption, match="ambiguous: --buffering, --btf"):
        parse(["--b=x"])


def test_two_dashes_end_the_options():
    options = parse(["-e", "x", "a", "--", "-v", "--name=5"])
    assert (options.arguments, options.separator, options.verbose) == (["a", "-v", "--name=5"], 1, 0)


def test_a_lone_dash_is_an_argument():
    assert parse(["-"]).arguments == ["-"]


def test_the_last_program_wins():
    assert parse(["-e", "a", "-e", "b"]).program == "b"


def test_directories_and_includes_add_up():
    options = parse(["-I", "a", "-Ib", "--include", "x.h"])
    assert (options.include_dir, options.include) == (["a", "b"], ["x.h"])


def test_what_bpftrace_ignores_is_ignored():
    assert parse(["--verify-llvm-ir", "-b", "x.bt"]).arguments == ["x.bt"]


@pytest.mark.parametrize(
    "words, message",
    [
        (["-x"], "invalid option -- 'x'"),
        (["--nope"], "unrecognized option '--nope'"),
        (["-e"], "option '-e' requires an argument"),
        (["--pid"], "option '--pid' requires an argument"),
        (["--quiet=1"], "option '--quiet' doesn't allow an argument"),
    ],
)
def test_what_is_no_option_is_told(words, message):
    with pytest.raises(BadOption) as caught:
        parse(words)
    assert str(caught.value) == message


@pytest.mark.parametrize("word, mode", [("--test", "test"), ("--bench", "bench"), ("--fmt", "format")])
def test_modes_have_options_of_their_own(word, mode):
    assert parse([word]).mode == mode
    assert parse(["--mode", mode]).mode == mode
    with pytest.raises(BadOption, match=f"{word} conflicts with existing --mode"):
        parse(["--mode", "test", word])


def test_features_and_stages_come_in_lists_and_repeatedly():
    options = parse(["--no-feature", "uprobe_multi,kprobe_multi", "--no-feature=kprobe_multi", "-d", "ast,types", "-d", "ast"])
    assert options.disabled_features == ["kprobe_multi", "uprobe_multi"]
    assert options.debug_stages == ["ast", "types"]
    check(options)


def test_btf_takes_a_file_but_is_bpftraces_idle_flag_under_its_name():
    assert parse(["--btf", "x", "y"]).btf == "x"
    options = parse(["--btf", "y"], bpftrace=True)
    assert (options.btf, options.arguments) == ("", ["y"])


@pytest.mark.parametrize(
    "words, message",
    [
        (["-f", "jsonx"], "Invalid output format \"jsonx\"\nValid formats: 'text', 'json'"),
        (["-B", "some"], "-B must be either 'line', 'full', or 'none'."),
        (["-c", "x", "-p", "1"], "Cannot use both -c and -p."),
        (["-k", "--no-warnings"], "-k, --warnings conflicts with --no-warnings"),
        (["-k", "--warnings"], "-kk is gone. A single -k warns of failing map lookups and probe reads."),
        (["-k", "--aot", "x"], "Cannot use -k with --aot"),
        (["--mode", "x"], "--mode can only be 'codegen', 'compiler-bench', 'bench', 'test' or 'format'."),
        (["--no-feature", "x"], "--no-feature can only have values 'kprobe_multi,kprobe_session,uprobe_multi'."),
        (["-d", "ast,x"], "invalid option for -d: x"),
        (["--dwarf-pid", "1"], "--dwarf-pid needs a DWARF unwinder, which this version does not have (see --info: dwunwind)"),
        (["--emit", "elf"], "--emit must be 'ir', 'asm' or 'btf'."),
    ],
)
def test_values_and_combinations_without_sense_are_refused(words, message):
    with pytest.raises(UsageError) as caught:
        check(parse(words))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "text, message",
    [
        ("a1111", "Failed to parse pid: invalid integer: a1111"),
        ("111a1", "Failed to parse pid: invalid trailing bytes: 111a1"),
        ("not_a_pid", "Failed to parse pid: invalid integer: not_a_pid"),
        ("5000000", "Pid out of range: 5000000"),
        ("0", "Pid out of range: 0"),
        ("-5", "Failed to parse pid: invalid integer: -5"),
    ],
)
def test_a_bad_pid_is_explained(text, message):
    with pytest.raises(UsageError) as caught:
        parse_pid(text)
    assert str(caught.value) == message


def test_a_good_pid_is_a_number():
    assert parse_pid("4194304") == 4194304


WORDS = st.sampled_from([*(f"--{name}" for name in LONG), *(f"-{letter}" for letter in LETTERS)])


@given(st.lists(st.one_of(st.text(max_size=8), WORDS)))
def test_whatever_is_typed_is_options_or_a_usage_error(words):
    try:
        check(parse(words))
    except UsageError as error:
        assert str(error)
