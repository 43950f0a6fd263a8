"""Private directories of running guests, and what is left of killed ones."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import pytest

from probee.errors import LabError
from probee.lab import cache

LEAVE = """
import os, sys
sys.path.insert(0, sys.argv[1])
from probee.lab.cache import GuestDir
guest = GuestDir()
open(guest.file("console"), "w").close()
print(guest.path)
sys.stdout.flush()
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def base(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_a_directory_lives_until_it_is_closed(base):
    one, two = cache.GuestDir(), cache.GuestDir()
    assert os.path.isdir(one.path) and os.path.isdir(two.path) and one.path != two.path
    one.close()
    two.close()
    one.close()
    assert os.listdir(cache.guests_dir()) == []


def test_what_a_killed_process_left_is_swept_and_what_a_live_one_has_is_not(base):
    live = cache.GuestDir()
    source = os.path.dirname(os.path.dirname(os.path.dirname(cache.__file__)))
    done = subprocess.run([sys.executable, "-c", LEAVE, source], capture_output=True, text=True, check=False)
    left = done.stdout.strip()
    assert done.returncode == -9 and os.path.isdir(left)
    cache.GuestDir().close()
    assert not os.path.exists(left)
    assert os.path.isdir(live.path)
    live.close()


def test_a_directory_that_others_may_write_is_refused(base):
    os.chmod(cache.guests_dir(), 0o777)
    with pytest.raises(LabError, match="not a private directory"):
        cache.guests_dir()


def test_a_link_in_its_place_is_refused(base, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"probee-lab-{os.geteuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LabError, match="not a private directory"):
        cache.guests_dir()


def test_a_cache_that_cannot_be_made_says_which_variable_helps(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    with pytest.raises(LabError, match="XDG_CACHE_HOME"):
        cache.make_dir("kernels")
