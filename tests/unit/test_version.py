"""Which program this is: a name for its source that follows every change and no machine."""

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from tasks.settings import ROOT
from tasks.version import ROOMS, code_version, source_hash


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The rooms of this program in another place."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / "elsewhere" / room)
    return tmp_path / "elsewhere"


def test_the_version_is_the_release_and_a_short_name_of_the_source() -> None:
    release = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.fullmatch(re.escape(release) + r"\+[0-9a-f]{12}", code_version())


def test_the_same_source_has_the_same_name_wherever_it_lies(copy: Path) -> None:
    (copy / "tasks" / "__pycache__").mkdir(exist_ok=True)
    (copy / "tasks" / "__pycache__" / "submit.pyc").write_bytes(b"of this machine")
    assert source_hash(copy) == source_hash(ROOT)


@pytest.mark.parametrize("room", ROOMS)
def test_any_change_of_any_room_gives_another_name(room: str, copy: Path) -> None:
    path = next((copy / room).rglob("*.py"))
    path.write_text(path.read_text() + "\n")
    changed = source_hash(copy)
    assert changed != source_hash(ROOT)
    path.rename(path.with_name("other.py"))
    assert source_hash(copy) not in (changed, source_hash(ROOT))
