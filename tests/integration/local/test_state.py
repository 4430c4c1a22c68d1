"""The state folder: whose it is, and what stands outside it."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from deploy.local.secret_files import SecretFiles
from deploy.local.state import StateError, StateFolder

LONGEST_SOCKET_PATH = 107


def test_one_launcher_has_a_folder_at_a_time(tmp_path: Path) -> None:
    first = StateFolder(tmp_path).acquire()
    with pytest.raises(StateError, match="make down"):
        StateFolder(tmp_path).acquire()
    first.release()
    StateFolder(tmp_path).acquire().release()


def test_sockets_have_a_short_path_however_deep_the_state_folder_is(tmp_path: Path) -> None:
    deep = StateFolder(tmp_path.joinpath(*["a folder with a long name"] * 8))
    deep.folder()
    assert len(str(deep.runtime / "gateway" / "admin.sock")) < LONGEST_SOCKET_PATH
    assert deep.runtime == StateFolder(deep.root).runtime
    shutil.rmtree(deep.runtime)


def test_what_a_killed_launcher_left_outside_is_removed_when_its_state_is_gone(tmp_path: Path) -> None:
    gone, kept = StateFolder(tmp_path / "gone"), StateFolder(tmp_path / "kept")
    for state in (gone, kept):
        state.folder()
        assert state.runtime.is_dir()
    left = gone.runtime
    shutil.rmtree(gone.root)
    kept.sweep()
    assert not left.exists()
    assert kept.runtime.exists()
    shutil.rmtree(kept.runtime)


def test_a_short_folder_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    folder = state.runtime
    folder.chmod(0o777)
    with pytest.raises(StateError, match="remove it"):
        assert state.runtime
    shutil.rmtree(folder)


def test_a_secret_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    secrets = SecretFiles(StateFolder(tmp_path))
    made = secrets.get("billing", "key")
    assert SecretFiles(StateFolder(tmp_path)).get("billing", "key") == made
    secrets.put("billing", "key", "another")
    assert secrets.get("billing", "key") == "another"
    file = secrets.folder("billing") / "key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
