"""The object cache: anything that a compile depended on, changed, is a miss."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import probee.compiler.cache as cache_module
from btf_from_c import Declarations
from probee.compiler.cache import cache_key, read_entry, write_entry
from probee.compiler.compile import compile
from probee.formats.target import FileTarget
from probee.formats.target_image import TargetImage, encode_image
from target_fixture import FUNCTIONS, TYPES, target_image

SCRIPT = """
kprobe:vfs_* { @[kstack] = count(); }
kprobe:input_event { $d = (struct input_dev *)arg0; printf("%s %p", str($d->name), kaddr("vfs_read")); @n++; }
tracepoint:syscalls:sys_enter_openat { printf("%s", str(args.filename)); }
"""
BOOT = "some-boot"


def fixture(change: Callable[[TargetImage], None] | None = None) -> FileTarget:
    whole = target_image()
    image = TargetImage(
        whole.arch, whole.release, btf=dict(whole.btf), formats=dict(whole.formats), functions=list(whole.functions),
        symbols=list(whole.symbols), kconfig=dict(whole.kconfig), features=dict(whole.features),
    )  # fmt: skip
    if change is not None:
        change(image)
    return FileTarget(encode_image(image))


def reads_of(target: FileTarget) -> dict[str, str]:
    compile(SCRIPT, target)
    return target.reads


def holds_for(reads: dict[str, str]) -> cache_module.Holds:
    """As for a kernel that gives these answers now."""
    return lambda kept, boot: boot == BOOT and all(reads.get(question) == answer for question, answer in kept.items())


def test_an_entry_gives_back_the_object_that_was_written() -> None:
    target = fixture()
    spec = compile(SCRIPT, target)
    data = write_entry(spec, target.reads, BOOT)
    assert data is not None
    found = read_entry(data, holds_for(target.reads))
    assert found is not None
    assert [p.instructions for p in found.programs] == [p.instructions for p in spec.programs]
    assert [action.text for action in found.actions] == [action.text for action in spec.actions]


def change_format(image: TargetImage) -> None:
    name = "syscalls:sys_enter_openat"
    image.formats[name] = image.formats[name].replace("int dfd", "long dfd")


def drop_function(image: TargetImage) -> None:
    image.functions.remove(("vfs_write", ""))


def change_feature(image: TargetImage) -> None:
    image.features["atomic_fetch"] = not image.features.get("atomic_fetch", False)


def drop_symbol(image: TargetImage) -> None:
    image.symbols = [name for name in image.symbols if name != "vfs_read"]


def change_btf(image: TargetImage) -> None:
    vmlinux = Declarations()
    vmlinux.parse(TYPES + "struct one_more_struct { int x; };")
    vmlinux.parse(FUNCTIONS)
    image.btf = {"vmlinux": vmlinux.blob()}


@pytest.mark.parametrize("change", [change_format, drop_function, change_feature, drop_symbol, change_btf])
def test_a_kernel_that_answers_otherwise_is_a_miss(change: Callable[[TargetImage], None]) -> None:
    target = fixture()
    data = write_entry(compile(SCRIPT, target), target.reads, BOOT)
    assert data is not None
    other = fixture(change)
    for question in target.reads:
        ask(other, question)
    assert read_entry(data, holds_for(target.reads)) is not None
    assert read_entry(data, holds_for(other.reads)) is None


def ask(target: FileTarget, question: str) -> None:
    """Ask a target what another was asked, so that its answer is recorded."""
    kind, _, rest = question.partition(":")
    if kind == "tracepoint":
        target.tracepoint(*rest.split(":"))
    elif kind == "feature":
        target.has_feature(rest)
    elif kind == "symbol":
        target.has_symbol(rest)
    elif kind == "functions":
        target.traceable_functions()
    elif kind == "btf":
        target.btf(rest)
    elif kind == "btf-modules":
        target.raw_tracepoint("none")
    else:
        raise AssertionError(f"the test does not know the question {question}")


def test_another_boot_is_a_miss() -> None:
    target = fixture()
    data = write_entry(compile(SCRIPT, target), target.reads, "another boot")
    assert data is not None
    assert read_entry(data, holds_for(target.reads)) is None


OPTIONS: dict[str, object] = {"name": "x.bt", "parameters": ["1"], "unsafe": False, "has_pid": False, "environment": {}}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "y.bt"), ("parameters", ["2"]), ("unsafe", True), ("has_pid", True),
        ("environment", {"BPFTRACE_MAX_STRLEN": "9"}),
    ],
)
def test_every_option_is_part_of_the_key(name: str, value: object) -> None:
    assert cache_key(SCRIPT, OPTIONS) != cache_key(SCRIPT, {**OPTIONS, name: value})


def test_the_text_and_the_version_are_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = cache_key(SCRIPT, OPTIONS)
    assert cache_key(SCRIPT + " ", OPTIONS) != before
    assert cache_key(SCRIPT, dict(reversed(OPTIONS.items()))) == before
    monkeypatch.setattr(cache_module, "__version__", "0.0.0")
    assert cache_key(SCRIPT, OPTIONS) != before


def test_a_damaged_entry_is_no_entry() -> None:
    target = fixture()
    data = write_entry(compile("BEGIN { exit(); }", target), target.reads, BOOT)
    assert data is not None
    always: cache_module.Holds = lambda reads, boot: True  # noqa: E731
    assert read_entry(data, always) is not None
    for length in range(len(data)):
        assert read_entry(data[:length], always) is None
    for at in range(0, len(data), 7):
        spoilt = bytearray(data)
        spoilt[at] ^= 0x40
        assert read_entry(bytes(spoilt), always) is None


def test_addresses_are_asked_at_every_start() -> None:
    spec = compile('BEGIN { printf("%p", kaddr("vfs_read")); }', fixture())
    assert [(c.kind, c.argument) for c in spec.constants] == [("kaddr", "vfs_read")]
