"""Functions on the program that is probed: uaddr, usdt_arg, elf_is_exe, elf_info; probes in files that are no programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from elf_image import ElfImage
from probee.compiler.compile import compile
from probee.errors import CompileError, UnknownName, Unsupported
from probee.formats.elf.read import EXECUTABLE, SHARED
from probee.formats.target import FileTarget
from probee.kernel.executable import find_executables
from probee.probes.register import registers
from script_harness import World, run_object

LINKED = 0x400000  # where ElfImage has its files linked
TEXT = LINKED + 0x1000
LOADED = 0x5500_0000_0000  # how much further up a movable program lies
DATA = 0x600  # in the file: variables of 1, 2, 4, 8 and 24 bytes, 32 bytes apart
SIZES = {"one": 1, "two": 2, "four": 4, "eight": 8, "many": 24}
MEMORY = bytes(range(1, 256))


def image(type: int) -> bytes:
    made = ElfImage(type=type)
    rows = [("work", TEXT, 16, 2, 1), ("play", TEXT + 64, 16, 2, 1)]
    rows += [("twice", TEXT + 128, 16, 2, 0), ("twice", TEXT + 192, 16, 2, 0), ("local", 8, 4, 6, 1)]
    rows += [(name, LINKED + DATA + 32 * number, size, 1, 1) for number, (name, size) in enumerate(SIZES.items())]
    made.symbols(rows)
    made.usdt("app", "start", TEXT + 8, "-4@%edi 8@%rsi")
    made.usdt("app", "start", TEXT + 40, "-4@$-7 8@%rsi")
    return made.build()


@pytest.fixture
def here(target: FileTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileTarget:
    def binaries(name: str, *, any_file: bool = False) -> list[object]:
        return list(find_executables(name, 0, any_file=any_file))

    monkeypatch.setattr(target, "binaries", binaries)
    monkeypatch.chdir(tmp_path)
    for name, type in (("fixed", EXECUTABLE), ("movable", SHARED)):
        (tmp_path / name).write_bytes(image(type))
        (tmp_path / name).chmod(0o755)
    (tmp_path / "flat").write_bytes(b"\x90" * 64)
    return target


def context(**values: int) -> bytes:
    layout, data = registers("x86_64"), bytearray(512)
    for name, value in values.items():
        data[layout.offset(name) : layout.offset(name) + 8] = (value & (1 << 64) - 1).to_bytes(8, "little")
    return bytes(data)


def shown(text: str, target: FileTarget, *, moved: int = 0, **values: int) -> str:
    values = {"ip": TEXT + moved, **values}
    user = {LINKED + moved: bytes(DATA) + MEMORY}
    return run_object(compile(text, target, {}), World(context=context(**values), user=user)).out


POINTED_TO = [
    ("one", "0x1"), ("two", "0x2221"), ("four", "0x44434241"), ("eight", "0x6867666564636261"),
    ("many", "0x8887868584838281"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), POINTED_TO)
@pytest.mark.parametrize(("program", "moved"), [("fixed", 0), ("movable", LOADED)])
def test_uaddr_points_to_an_integer_of_the_symbols_size(
    program: str, moved: int, name: str, value: str, here: FileTarget
) -> None:
    script = f'uprobe:./{program}:work {{ printf("%#lx\\n", *uaddr("{name}")); }}'
    assert shown(script, here, moved=moved) == value + "\n"


def test_uaddr_does_not_need_the_place_of_a_program_that_cannot_be_moved(here: FileTarget) -> None:
    assert shown('uretprobe:./fixed:work { print(uaddr("one")); }', here, ip=0xDEAD) == f"{LINKED + DATA:#x}\n"
    assert shown('uprobe:./fixed:twice { print(uaddr("work")); }', here, ip=0xDEAD) == f"{TEXT:#x}\n"


def test_every_place_of_a_probe_knows_where_it_is(here: FileTarget) -> None:
    spec = compile('uprobe:./movable:*o*k,uprobe:./movable:play { print(uaddr("one")); }', here, {})
    assert len(spec.programs) == 2
    within = 'uprobe:./movable:work+4 { print(uaddr("one")); }'
    assert shown(within, here, ip=LOADED + TEXT + 4) == f"{LOADED + LINKED + DATA:#x}\n"
    by_address = f'uprobe:./movable:{TEXT + 64} {{ print(uaddr("one")); }}'
    assert shown(by_address, here, ip=LOADED + TEXT + 64) == f"{LOADED + LINKED + DATA:#x}\n"


def test_uaddr_in_a_usdt_probe_with_several_places(here: FileTarget) -> None:
    spec = compile('usdt:./movable:app:start { print(uaddr("one")); }', here, {})
    assert [link.parameters["offsets"] for link in spec.links] == [[0x1008], [0x1028]]
    for link, place in zip(spec.links, (8, 40), strict=True):
        alone = compile('usdt:./movable:app:start { print(uaddr("one")); }', here, {})
        alone.links = [each for each in alone.links if each.parameters == link.parameters]
        world = World(context=context(ip=LOADED + TEXT + place))
        assert run_object(alone, world).out == f"{LOADED + LINKED + DATA:#x}\n"


REFUSED = [
    ('uprobe:./fixed:work { print(uaddr("nothing")); }', CompileError, "Could not resolve symbol: .*/fixed:nothing"),
    ('uprobe:./fixed:work { print(uaddr("local")); }', CompileError, "Could not resolve symbol"),  # of each thread
    ('uprobe:./movable:twice { print(uaddr("one")); }', Unsupported, "this probe's address in it is not known"),
    ('begin { print(uaddr("one")); }', CompileError, "uaddr can not be used for this probetype: special"),
    ("uprobe:./fixed:work { print(usdt_arg(0)); }", CompileError, "usdt_arg can not be used for this probetype: uprobe"),
    ("usdt:./fixed:app:start { print(usdt_arg(5)); }", CompileError, "usdt probe app:start has no arg5"),
    ("begin { print(elf_is_exe()); }", CompileError, "elf_is_exe can not be used for this probetype: special"),
]


@pytest.mark.parametrize(("script", "kind", "message"), REFUSED)
def test_what_cannot_be_told_is_said(script: str, kind: type[CompileError], message: str, here: FileTarget) -> None:
    with pytest.raises(kind, match=message):
        compile(script, here, {})


@pytest.mark.parametrize("features", [frozenset(), frozenset(("uprobe_multi", "get_func_ip"))])
def test_a_uretprobe_of_a_movable_program_asks_the_kernel_where_the_function_is(
    features: frozenset[str], here: FileTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(here, "has_feature", lambda name: name in features)
    script = 'uretprobe:./movable:work { print(uaddr("one")); }'
    if features:
        assert compile(script, here, {}).programs
    else:
        with pytest.raises(Unsupported, match="needs bpf_get_func_ip for uprobes"):
            compile(script, here, {})


def test_usdt_arg_is_an_argument_of_each_place(here: FileTarget) -> None:
    script = "usdt:./fixed:app:start { print((usdt_arg(0), usdt_arg(1), arg0)); }"
    assert shown(script, here, di=-3, si=9) == "(-3, 9, -3)\n(-7, 9, -7)\n"


@pytest.mark.parametrize(("program", "fixed"), [("fixed", "true"), ("movable", "false")])
def test_what_kind_of_file_is_probed_is_known(program: str, fixed: str, here: FileTarget) -> None:
    script = f"uprobe:./{program}:work {{ if comptime (elf_is_exe()) {{ print(true); }} else {{ print(false); }} }}"
    assert shown(script, here) == fixed + "\n"
    assert shown(f"uprobe:./{program}:work {{ print(elf_info()); }}", here) == f"{Path(program).stat().st_ino}\n"


def test_with_unsafe_an_address_may_be_in_any_file(here: FileTarget) -> None:
    script = "uprobe:./flat:0x10 { print(1); }"
    (link,) = compile(script, here, {"unsafe": True}).links
    assert link.parameters == {"path": str(Path("flat").absolute()), "address": 0x10}
    for text, options in ((script, {}), ("uprobe:./flat:main { print(1); }", {"unsafe": True})):
        with pytest.raises((UnknownName, CompileError), match="does not exist or is not executable"):
            compile(text, here, options)
