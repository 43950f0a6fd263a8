"""Edits made outside."""

from __future__ import annotations

import os
import shutil

from probee.lab import agent
from probee.lab.follow import Follower


def test_nothing_changed_is_nothing_to_send(tmp_path):
    (tmp_path / "a").write_text("1")
    assert Follower((str(tmp_path),)).changes() == []


def test_changed_new_and_removed_files_are_told_once(tmp_path):
    for name in ("same", "edited", "removed"):
        (tmp_path / name).write_text("1")
    follower = Follower((str(tmp_path),))
    (tmp_path / "edited").write_text("22")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "new").write_bytes(b"\0\xff")
    (tmp_path / "removed").unlink()
    told = {os.path.basename(path): (mode and mode & 0o777, content) for path, mode, _, content in follower.changes()}
    umask = os.umask(0)
    os.umask(umask)
    plain = 0o666 & ~umask
    assert told.pop(b"deep")[1] == b""
    assert told == {b"edited": (plain, b"22"), b"new": (plain, b"\0\xff"), b"removed": (0, b"")}
    assert follower.changes() == []


def test_an_edit_within_the_same_second_and_of_the_same_size_is_seen(tmp_path):
    path = tmp_path / "a"
    path.write_text("1")
    times = path.stat()
    follower = Follower((str(tmp_path),))
    path.write_text("2")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert [content for *_, content in follower.changes()] == [b"2"]


def test_version_control_and_caches_are_not_looked_at(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".venv").mkdir()
    follower = Follower((str(tmp_path),))
    (tmp_path / ".git" / "index").write_text("1")
    (tmp_path / ".venv" / "x").write_text("1")
    assert follower.changes() == []


def test_an_update_is_applied_with_its_mode_and_time(tmp_path):
    path = os.fsencode(tmp_path / "deep" / "file")
    agent.apply_update(path, b"100755", b"1700000000000000000", b"text")
    status = os.stat(path)
    assert (status.st_mode & 0o777, status.st_mtime_ns) == (0o755, 1700000000000000000)
    with open(path, "rb") as file:
        assert file.read() == b"text"
    assert os.listdir(tmp_path / "deep") == ["file"]


def test_a_removal_is_applied_and_a_second_one_is_no_error(tmp_path):
    path = tmp_path / "file"
    path.write_text("1")
    agent.apply_update(os.fsencode(path), b"0", b"0", b"")
    agent.apply_update(os.fsencode(path), b"0", b"0", b"")
    assert not path.exists()


def test_a_tree_made_outside_is_made_inside_and_goes_with_it(tmp_path):
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    follower = Follower((str(outside),))

    def carry_over() -> None:
        for path, mode, mtime_ns, content in follower.changes():
            place = path.replace(os.fsencode(outside), os.fsencode(inside))
            agent.apply_update(place, b"%o" % mode, b"%d" % mtime_ns, content)

    (outside / "a" / "b").mkdir(parents=True)
    (outside / "a" / "b" / "file").write_text("text")
    (outside / "a" / "link").symlink_to("b/file")
    (outside / "empty").mkdir(mode=0o700)
    carry_over()
    assert (inside / "a" / "link").read_text() == "text" and (inside / "a" / "link").is_symlink()
    assert (inside / "empty").stat().st_mode & 0o777 == 0o700
    shutil.rmtree(outside / "a")
    carry_over()
    assert os.listdir(inside) == ["empty"]
