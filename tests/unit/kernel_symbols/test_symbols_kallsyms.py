"""kallsyms, from a file that looks like the kernel's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from probee.errors import FormatError, PermissionMissing
from probee.kernel.symbols.kallsyms import Kallsyms
from probee.kernel.symbols.stack import KernelResolver

TEXT = """\
0000000000000000 A fixed_percpu_data
0000000000001000 A __per_cpu_end
ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81000100 t asm_start
ffffffff81000200 T vfs_read
ffffffff81000300 T vfs_read_iter
ffffffff82000000 D jiffies
ffffffffc0200000 t demo_open\t[demo_mod]
ffffffffc0200080 t vfs_read\t[demo_mod]
ffffffffc0100000 t other_init\t[other]
"""


@pytest.fixture
def symbols(tmp_path: Path) -> Kallsyms:
    return Kallsyms(written(tmp_path, TEXT))


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "kallsyms"
    path.write_text(text)
    return str(path)


def test_an_address_is_found_by_the_whole_name(symbols: Kallsyms) -> None:
    assert symbols.address("vfs_read") == 0xFFFFFFFF81000200
    assert symbols.address("vfs_read_iter") == 0xFFFFFFFF81000300
    assert symbols.address("read") is None
    assert symbols.address("vfs_rea") is None


def test_a_name_of_a_module_is_found_after_those_of_the_kernel_or_by_module(symbols: Kallsyms) -> None:
    assert symbols.address("demo_open") == 0xFFFFFFFFC0200000
    assert symbols.address("vfs_read", "demo_mod") == 0xFFFFFFFFC0200080
    assert symbols.address("vfs_read", "other") is None
    assert symbols.modules_with("vfs_read") == ("", "demo_mod")
    assert symbols.modules_with("nothing") == ()


def test_every_function_of_a_name_is_found(symbols: Kallsyms) -> None:
    assert symbols.functions_named(["vfs_read", "jiffies", "nothing"]) == {
        "vfs_read": [(0xFFFFFFFF81000200, ""), (0xFFFFFFFFC0200080, "demo_mod")]
    }


def test_an_address_resolves_to_the_symbol_below_it(symbols: Kallsyms) -> None:
    frame = symbols.resolve(0xFFFFFFFF81000245)
    assert (frame.symbol, frame.offset, frame.module) == ("vfs_read", 0x45, "")
    frame = symbols.resolve(0xFFFFFFFFC0100010)  # the file is not sorted where modules begin
    assert (frame.symbol, frame.offset, frame.module) == ("other_init", 0x10, "other")


def test_of_several_names_for_one_address_the_first_counts(symbols: Kallsyms) -> None:
    assert symbols.resolve(0xFFFFFFFF81000010).symbol == "_stext"


@pytest.mark.parametrize("address", [0, 0x800, 0xFFFFFFFF80FFFFFF, 0xFFFFFFFF81500000, 0xFFFFFFFFFFFFFFFF])
def test_what_lies_in_no_symbol_has_no_name(symbols: Kallsyms, address: int) -> None:
    frame = symbols.resolve(address)
    assert (frame.address, frame.symbol, frame.module) == (address, "", "")


def test_addresses_of_a_large_file_are_indexed_piece_by_piece(tmp_path: Path) -> None:
    lines = [f"{0xFFFFFFFF81000000 + 16 * n:016x} t function_{n}\n" for n in range(20_000)]
    symbols = Kallsyms(written(tmp_path, "".join(lines)))
    for n in (0, 1, 7_281, 7_282, 19_999):
        assert symbols.resolve(0xFFFFFFFF81000000 + 16 * n + 3).symbol == f"function_{n}"


@pytest.mark.parametrize("order", ["012345", "015342", "543210", "041523", "102345"])
def test_addresses_may_come_in_any_order(tmp_path: Path, order: str) -> None:
    lines = [f"{0xFFFFFFFF81000000 + 16 * int(n):016x} t function_{n}\n" for n in order]
    symbols = Kallsyms(written(tmp_path, "".join(lines)))
    assert [symbols.resolve(0xFFFFFFFF81000000 + 16 * n + 3).symbol for n in range(6)] == [f"function_{n}" for n in range(6)]


def test_a_file_without_a_last_newline_is_read_to_its_end(tmp_path: Path) -> None:
    symbols = Kallsyms(written(tmp_path, "ffffffff81000000 T first\nffffffff81000010 T last"))
    assert symbols.resolve(0xFFFFFFFF81000012).symbol == "last"


def test_hidden_addresses_are_an_error_that_names_the_setting(tmp_path: Path) -> None:
    symbols = Kallsyms(written(tmp_path, "0000000000000000 T _text\n0000000000000000 T vfs_read\n"))
    assert symbols.has("vfs_read")
    assert not symbols.shows_addresses()
    with pytest.raises(PermissionMissing, match="kptr_restrict"):
        symbols.address("vfs_read")


def test_a_symbol_at_zero_is_no_hidden_address(symbols: Kallsyms) -> None:
    assert symbols.address("fixed_percpu_data") == 0


def test_a_missing_file_has_no_symbols_and_a_broken_one_is_an_error(tmp_path: Path) -> None:
    assert not Kallsyms(str(tmp_path / "nothing")).has("vfs_read")
    with pytest.raises(FormatError, match="does not begin with an address"):
        Kallsyms(written(tmp_path, "no address at all in here\n")).resolve(1 << 63)


def test_symbols_are_listed_in_the_order_of_the_file(symbols: Kallsyms) -> None:
    assert list(symbols.symbols())[-3:] == [
        ("demo_open", "t", "demo_mod"), ("vfs_read", "t", "demo_mod"), ("other_init", "t", "other"),
    ]  # fmt: skip
    assert next(symbols.names()) == "fixed_percpu_data"


def test_a_stack_ends_at_its_first_zero(symbols: Kallsyms) -> None:
    resolver = KernelResolver(symbols)
    frames = resolver.frames([0xFFFFFFFF81000201, 0xFFFFFFFF81000301, 0, 0xFFFFFFFF81000201])
    assert [(frame.symbol, frame.offset) for frame in frames] == [("vfs_read", 1), ("vfs_read_iter", 1)]
    assert resolver.frame(0xFFFFFFFF81000201) is frames[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, TEXT)
    os.chmod(path, 0)
    with pytest.raises(PermissionMissing):
        Kallsyms(path).has("vfs_read")
