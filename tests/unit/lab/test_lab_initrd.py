"""The cpio archive that a guest boots from."""

from __future__ import annotations

import re
import stat

from probee.lab import initrd


def read_cpio(data: bytes) -> dict[str, tuple[int, bytes]]:
    """Take a newc archive apart by the kernel's description of it."""
    found, at = {}, 0
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * number : at + 14 + 8 * number], 16) for number in range(13)]
        name_end = at + 110 + fields[11]
        name = data[at + 110 : name_end - 1].decode()
        start = (name_end + 3) & ~3
        if name == "TRAILER!!!":
            return found
        found[name] = fields[1], data[start : start + fields[6]]
        at = (start + fields[6] + 3) & ~3


def layout(**changes) -> initrd.Layout:
    values = {"python": "/opt/python3", "busybox": b"BUSY", "modules": [("9p", b"KO1"), ("overlay", b"KO22")], "net": False}
    return initrd.Layout(**{**values, **changes})


def test_every_entry_comes_back_whatever_its_length():
    entries = [(f"f{size}", stat.S_IFREG | 0o644, b"x" * size) for size in range(6)]
    entries += [("d", stat.S_IFDIR | 0o755, b""), ("l", stat.S_IFLNK | 0o777, b"f1")]
    assert read_cpio(initrd.write_cpio(entries)) == {path: (mode, data) for path, mode, data in entries}


def test_archive_has_init_agent_and_modules_in_loading_order():
    files = read_cpio(layout().archive())
    init = files["init"][1].decode()
    assert init.index("insmod /m/9p.ko") < init.index("insmod /m/overlay.ko") < init.index("mount -a")
    assert "exec chroot . /opt/python3 -IS" in init
    assert files["m/overlay.ko"][1] == b"KO22"
    assert files["bin/mount"] == (stat.S_IFLNK | 0o777, b"busybox")
    assert b"class Agent" in files["lab/probee/lab/agent.py"][1]
    assert files["lab/probee/__init__.py"][1] == b""


def test_what_the_agent_imports_of_ours_is_in_the_archive():
    files = read_cpio(layout().archive())
    for name in [name for name in files if name.endswith(".py")]:
        for module in re.findall(r"^from probee\.lab(?:\.(\w+))? import (\w+)", files[name][1].decode(), re.M):
            assert f"lab/probee/lab/{module[0] or module[1]}.py" in files


def test_network_is_set_up_only_when_asked_for():
    assert "10.0.2.15" not in layout().init()
    assert "10.0.2.15" in layout(net=True).init()


def test_shared_directory_becomes_a_mount_with_its_parents_above_it(tmp_path):
    shared = tmp_path / "a b"
    shared.mkdir(mode=0o711)
    made = layout()
    made.share(0, str(shared))
    files = read_cpio(made.archive())
    assert f"rw0 /root{tmp_path}/a\\040b 9p" in files["fstab"][1].decode()
    places = [name for name in files if name.startswith("up/")]
    assert places == sorted(places, key=len) and places[-1] == f"up{shared}"
    assert files[f"up{shared}"][0] == stat.S_IFDIR | 0o711


def test_modules_of_the_cache_are_bound_where_modprobe_looks(tmp_path):
    made = layout()
    made.bind_modules(str(tmp_path), "9.9.9-none")
    assert made.mounts == [f"/lower{tmp_path} /root/usr/lib/modules/9.9.9-none none bind"]
