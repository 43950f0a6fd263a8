"""The config block and the BPFTRACE_* environment: what each key takes, and what is said of what it does not take."""

from __future__ import annotations

import pytest

from probee.compiler.lang.bpftrace.config import read_config
from probee.compiler.lang.bpftrace.parser import parse
from probee.errors import CompileError, Source, UsageError


def configured(items: str, **environment: str) -> dict[str, int | str | bool]:
    program = parse(Source("x", f"config = {{ {items} }} begin {{ }}" if items else "begin { }"))
    return read_config(program.config, {f"BPFTRACE_{name.upper()}": text for name, text in environment.items()}).values


VALUES = [
    ("max_strlen", "200", 200), ("max_strlen", '"0x40"', 64), ("max_strlen", '"1_000"', 1000), ("max_strlen", '"010"', 8),
    ("print_maps_on_exit", "false", False), ("print_maps_on_exit", "0", False),
    ("print_maps_on_exit", '"YES"', True), ("missing_probes", "WARN", "warn"), ("missing_probes", '"ignore"', "ignore"),
    ("cache_user_symbols", "none", "NONE"), ("cache_user_symbols", "0", "NONE"), ("cache_user_symbols", "1", "PER_PID"),
    ("stack_mode", "build_id", "build_id"), ("license", '"Dual BSD/GPL"', "Dual BSD/GPL"), ("str_trunc_trailer", '"…"', "…"),
    ("str_trunc_trailer", "5", "5"), ("unstable_tseries", "enable", "enable"), ("unstable_tseries", "false", "error"),
    ("unstable_tseries", "1", "enable"),
]  # fmt: skip


@pytest.mark.parametrize("key, text, value", VALUES)
def test_a_value_means_the_same_in_the_script_and_in_the_environment(key, text, value):
    assert configured(f"{key} = {text}")[key] == value
    assert configured("", **{key: text.strip('"')})[key] == value


@pytest.mark.parametrize(
    "key, text, said",
    [
        ("max_strlen", '"big"', "expecting a number, got big"),
        ("max_strlen", "true", "expecting a number, got true"),
        ("max_map_keys", '"-1"', "expecting a number, got -1"),
        ("cpp_demangle", '"maybe"', "Invalid bool value: valid values are true, false, 1 or 0."),
        ("missing_probes", "1", "Invalid value for missing_probes: valid values are ignore, warn, and error."),
        ("cache_user_symbols", "x", "Invalid value for cache_user_symbols: valid values are PER_PID, PER_PROGRAM, and NONE."),
        ("stack_mode", "x", "Invalid value for stack_mode: valid values are bpftrace, perf, raw, and build_id."),
        ("unstable_import_statement", "x", "Invalid value for unstable config: valid values are enable, warn, and error."),
    ],
)
def test_a_value_that_a_key_does_not_take_is_told_with_those_that_it_does(key, text, said):
    with pytest.raises(CompileError) as caught:
        configured(f"{key} = {text}")
    assert caught.value.message == f"{key}: {said}"
    with pytest.raises(UsageError) as refused:
        configured("", **{key: text.strip('"')})
    assert str(refused.value) == f"BPFTRACE_{key.upper()}: {said}"
    assert refused.value.exit_status == 2


def test_any_number_but_zero_is_true_in_a_script():
    assert configured("print_maps_on_exit = 7")["print_maps_on_exit"] is True


def test_the_environment_wins():
    assert configured("max_strlen = 64", max_strlen="128")["max_strlen"] == 128


def test_keys_are_written_in_any_case_and_with_the_prefix_of_the_environment():
    assert configured("BPFTRACE_MAX_STRLEN = 64")["max_strlen"] == 64
    assert configured("Max_StrLen = 64")["max_strlen"] == 64


@pytest.mark.parametrize("key", ["btf", "vmlinux", "kernel_source", "kernel_build"])
def test_what_only_the_environment_can_say_is_refused_in_a_script(key):
    with pytest.raises(CompileError, match=f"{key}: can only be set as an environment variable"):
        configured(f"{key} = x")
