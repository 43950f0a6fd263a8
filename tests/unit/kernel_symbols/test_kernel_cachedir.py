"""The cache directory is used only when nobody else can write to it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from probee.kernel import cachedir
from probee.kernel.cachedir import cache_directory, keep_newest, write_whole


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_new_directory_is_private(home: Path) -> None:
    assert cache_directory("btf") == str(home / "probee" / "btf")
    assert stat.S_IMODE((home / "probee").stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "probee" / "btf").stat().st_mode) == 0o700


def test_without_xdg_it_is_below_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_directory() == str(tmp_path / ".cache" / "probee")


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o722])
def test_a_directory_that_others_may_write_to_is_ignored(home: Path, mode: int) -> None:
    assert cache_directory("btf") is not None
    (home / "probee" / "btf").chmod(mode)
    assert cache_directory("btf") is None
    (home / "probee" / "btf").chmod(0o755)
    assert cache_directory("btf") is not None
    (home / "probee").chmod(mode)
    assert cache_directory("btf") is None


def test_a_link_is_not_followed(home: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    home.mkdir()
    (home / "probee").symlink_to(tmp_path / "elsewhere")
    assert cache_directory() is None


def test_a_directory_of_somebody_else_is_ignored(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_directory() is not None
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    assert cache_directory() is None


def test_root_with_another_users_home_uses_the_systems_directory(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(cachedir, "_owner", lambda path: 1000)
    monkeypatch.setattr(cachedir, "SYSTEM", str(tmp_path / "system"))
    found = cache_directory()
    assert found == (str(tmp_path / "system") if (tmp_path / "system").stat().st_uid == 0 else None)
    assert not home.exists()


def test_a_relative_path_is_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_directory() is None


def test_a_file_appears_whole_or_not_at_all(home: Path) -> None:
    directory = cache_directory()
    assert directory is not None
    assert write_whole(f"{directory}/x", b"one", memoryview(b"two"))
    assert Path(directory, "x").read_bytes() == b"onetwo"
    assert not write_whole(f"{directory}/nothing/x", b"one")
    assert os.listdir(directory) == ["x"]


def test_only_the_files_used_last_are_kept(home: Path) -> None:
    directory = cache_directory()
    assert directory is not None
    for age, name in enumerate(("new.btf", "old.btf", "older.btf", "oldest.index")):
        write_whole(f"{directory}/{name}", b"x")
        os.utime(f"{directory}/{name}", (1_000_000 - age, 1_000_000 - age))
    keep_newest(directory, ".btf", 2)
    assert sorted(os.listdir(directory)) == ["new.btf", "old.btf", "oldest.index"]


def test_a_file_that_goes_away_while_others_are_counted_is_nothing(home: Path) -> None:
    directory = cache_directory()
    assert directory is not None
    write_whole(f"{directory}/here.btf", b"x")
    os.symlink(f"{directory}/gone", f"{directory}/gone.btf")  # listed, and not there when it is looked at
    keep_newest(directory, ".btf", 1)
    assert os.path.exists(f"{directory}/here.btf")
