"""Which BTF a name is looked for in, and when a module's BTF is opened."""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest

from probee.errors import BtfError
from probee.formats.btf.build import BtfBuilder
from probee.formats.btf.reader import Btf
from probee.kernel.programs import btf_id
from probee.kernel.programs.btf_id import BtfFinder


class Source:
    """vmlinux with two functions, a tracepoint and a variable; a module with a function and a tracepoint."""

    def __init__(self) -> None:
        builder = BtfBuilder()
        self.number = builder.integer("int", 4, signed=True)
        prototype = builder.func_proto(self.number, ())
        self.ids = {"vfs_read": builder.func("vfs_read", prototype), "twin": builder.func("twin", prototype)}
        self.ids["sys_enter"] = builder.typedef("btf_trace_sys_enter", builder.pointer(prototype))
        vmlinux = Btf(builder.blob())
        module = BtfBuilder(builder)
        self.ids["tun_open"] = module.func("tun_open", prototype)
        self.ids["tun:twin"] = module.func("twin", prototype)
        self.ids["tun_event"] = module.typedef("btf_trace_tun_event", module.pointer(prototype))
        self._btf = {"vmlinux": vmlinux, "tun": Btf(module.blob(), vmlinux)}

    def btf(self, module: str = "vmlinux") -> Btf | None:
        return self._btf.get(module)

    def btf_modules(self) -> Iterable[str]:
        return ["empty", "tun"]

    def modules_with(self, function: str) -> Iterable[str]:
        return ["vmlinux", "tun"]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []

    def open_null(name: str) -> int:
        names.append(name)
        return os.open("/dev/null", os.O_RDONLY)

    monkeypatch.setattr(btf_id, "module_btf", open_null)
    return names


def test_names_of_the_kernel_proper_need_no_descriptor(opened: list[str]) -> None:
    source = Source()
    with BtfFinder(source) as find:
        assert find("kfunc", "vfs_read") == (source.ids["vfs_read"], 0)
        assert find("attach", "twin") == (source.ids["twin"], 0)
        assert find("raw_tp", "sys_enter") == (source.ids["sys_enter"], 0)
    assert opened == []


def test_names_of_modules_come_with_the_modules_descriptor_opened_once(opened: list[str]) -> None:
    source = Source()
    with BtfFinder(source) as find:
        first, descriptor = find("kfunc", "tun_open")
        assert first == source.ids["tun_open"]
        assert descriptor > 0
        assert find("raw_tp", "tun_event") == (source.ids["tun_event"], descriptor)
        assert find("attach", "tun:twin") == (source.ids["tun:twin"], descriptor)
        os.fstat(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    assert opened == ["tun"]


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("kfunc", "nothing", "the function nothing"),
        ("attach", "empty:vfs_read", "the function vfs_read"),
        ("attach", "tun:vfs_read", "the function vfs_read"),
        ("ksym", "vfs_read", "the variable vfs_read"),
        ("raw_tp", "vfs_read", "the raw tracepoint vfs_read"),
    ],
)
def test_names_that_no_btf_has_are_refused(opened: list[str], kind: str, name: str, words: str) -> None:
    with BtfFinder(Source()) as find, pytest.raises(BtfError, match=f"no BTF of this kernel has {words}"):
        find(kind, name)
