"""The order in which modules are loaded."""

from __future__ import annotations

import lzma

import pytest

from probee.errors import LabError
from probee.lab import module


def write_module(root, name: str, depends: str, *, packed: bool = False) -> None:
    data = b"\x7fELF\0license=GPL\0depends=" + depends.encode() + b"\0retpoline=Y\0"
    path = root / "kernel" / f"{name}.ko{'.xz' if packed else ''}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(lzma.compress(data) if packed else data)


def test_dependencies_come_first_and_once(tmp_path):
    write_module(tmp_path, "9p", "9pnet,netfs", packed=True)
    write_module(tmp_path, "9pnet", "")
    write_module(tmp_path, "netfs", "fscache")
    write_module(tmp_path, "fscache", "", packed=True)
    write_module(tmp_path, "9pnet_virtio", "virtio-ring,9pnet")
    write_module(tmp_path, "virtio-ring", "")
    names = [name for name, _ in module.load_order(str(tmp_path), ("9pnet_virtio", "9p"))]
    assert names == ["virtio_ring", "9pnet", "9pnet_virtio", "fscache", "netfs", "9p"]


def test_contents_are_unpacked(tmp_path):
    write_module(tmp_path, "a", "", packed=True)
    assert module.load_order(str(tmp_path), ("a",))[0][1].startswith(b"\x7fELF")


def test_what_has_no_file_is_built_in(tmp_path):
    write_module(tmp_path, "a", "builtin")
    assert [name for name, _ in module.load_order(str(tmp_path), ("a", "other"))] == ["a"]


def test_modules_that_need_each_other_end(tmp_path):
    write_module(tmp_path, "a", "b")
    write_module(tmp_path, "b", "a")
    assert len(module.load_order(str(tmp_path), ("a",))) == 2


def test_an_empty_directory_is_an_error_that_names_it(tmp_path):
    with pytest.raises(LabError, match=str(tmp_path)):
        module.load_order(str(tmp_path), ("a",))
