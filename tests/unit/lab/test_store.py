"""The cache of the lab: what changes a key, and what a failed build leaves."""

from pathlib import Path

import pytest
from lab.store import Store, key


def tree(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_key_is_the_same_for_the_same_content_elsewhere(tmp_path: Path) -> None:
    assert key(tree(tmp_path / "a", one="1", two="2"), "x") == key(tree(tmp_path / "b", two="2", one="1"), "x")


@pytest.mark.parametrize(
    "other",
    [{"one": "1"}, {"one": "1", "two": "3"}, {"one": "1", "three": "2"}],
    ids=["file missing", "content changed", "file renamed"],
)
def test_key_follows_names_and_content(tmp_path: Path, other: dict[str, str]) -> None:
    assert key(tree(tmp_path / "a", one="1", two="2")) != key(tree(tmp_path / "b", **other))


def test_key_follows_the_executable_bit(tmp_path: Path) -> None:
    folder = tree(tmp_path / "a", run="#!/bin/sh")
    before = key(folder)
    (folder / "run").chmod(0o755)
    assert key(folder) != before


def test_key_ignores_what_tools_leave_behind(tmp_path: Path) -> None:
    folder = tree(tmp_path / "a", one="1")
    before = key(folder)
    tree(folder / "__pycache__", one="bytecode")
    assert key(folder) == before


def test_key_tells_texts_apart() -> None:
    assert key("ab", "c") != key("a", "bc")


def test_an_entry_is_built_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = store.get("part", key("1"), lambda to: (to / "file").touch())
    second = store.get("part", key("1"), lambda _: pytest.fail("built again"))
    assert first == second
    assert (second / "file").exists()


def test_a_failed_build_leaves_no_entry(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "half").write_text("done")
        raise OSError("disk full")

    store = Store(tmp_path)
    with pytest.raises(OSError, match="disk full"):
        store.get("part", key("1"), build)
    assert not store.path("part", key("1")).exists()
    assert list(store.unfinished.iterdir()) == []


def test_a_new_entry_replaces_old_ones_of_its_name_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old = store.get("part", key("1"), lambda _: None)
    other = store.get("part-two", key("1"), lambda _: None)
    new = store.get("part", key("2"), lambda _: None)
    assert [path.exists() for path in (old, other, new)] == [False, True, True]
