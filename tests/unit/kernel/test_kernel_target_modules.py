"""Types that only a module has, as the running kernel's BTF files show them."""

from __future__ import annotations

from pathlib import Path

import pytest

from probee.formats.btf.build import BtfBuilder
from probee.formats.btf.reader import Btf
from probee.kernel import target
from probee.kernel.target import LiveTarget
from probee.model.ctype import StructType


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LiveTarget:
    """A kernel with a vmlinux that names `known` without defining it, and two modules."""
    vmlinux = BtfBuilder()
    number = vmlinux.integer("unsigned int", 4)
    vmlinux.typedef("known", number)  # as a forward declaration does, it puts the name into vmlinux's strings
    ours, other = BtfBuilder(vmlinux), BtfBuilder(vmlinux)
    ours.struct("known", 8, [("a", number, 0, 0), ("b", number, 32, 0)])
    ours.struct("fresh", 4, [("a", number, 0, 0)])
    other.struct("nothing", 4, [("a", number, 0, 0)])
    for name, builder in (("vmlinux", vmlinux), ("ours", ours), ("other", other)):
        (tmp_path / name).write_bytes(builder.blob())
    monkeypatch.setattr(target, "BTF_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(target, "load_vmlinux", lambda path: Btf(Path(path).read_bytes()))
    return LiveTarget()


@pytest.mark.parametrize("name", ["fresh", "known"])
def test_a_struct_of_a_module_is_found_whether_vmlinux_names_it_or_not(live: LiveTarget, name: str) -> None:
    assert list(live.modules_naming(name)) == ["ours"]
    found = live.type_in_modules("struct", name)
    assert isinstance(found, StructType)
    assert found.name == name


def test_what_no_module_has_is_none(live: LiveTarget) -> None:
    assert live.type_in_modules("struct", "absent") is None
    assert live.type_in_modules("struct", "") is None
