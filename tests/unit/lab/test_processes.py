"""A process is ours only by its environment, and only while it is the same process."""

from pathlib import Path

import pytest
from lab.processes import MARK, PART, Process, inspect, parse_environ, parse_stat

STAT = "42 ({name}) {state} " + " ".join(str(number) for number in range(4, 53))
OWNER = "/var/lib/lab"


def fake_proc(root: Path, *, environ: str, state: str = "S", name: str = "kubelet") -> Path:
    folder = root / "42"
    folder.mkdir()
    (folder / "environ").write_bytes(environ.replace(" ", "\0").encode())
    (folder / "stat").write_text(STAT.format(name=name, state=state))
    (folder / "cmdline").write_bytes(b"/cache/bin/kubelet\0--config=x\0")
    return root


@pytest.mark.parametrize("name", ["kubelet", "a b", "a) R (b"])
def test_parse_stat_copes_with_any_command_name(name: str) -> None:
    assert parse_stat(STAT.format(name=name, state="S")) == ("S", 22)


def test_parse_environ_keeps_values_with_equal_signs() -> None:
    assert parse_environ(b"A=1\0B=x=y\0") == {"A": "1", "B": "x=y"}


def test_inspect_finds_our_process(tmp_path: Path) -> None:
    proc = fake_proc(tmp_path, environ=f"{MARK}={OWNER} {PART}=kubelet")
    assert inspect(42, OWNER, proc) == Process(42, 22, "kubelet", "kubelet")


@pytest.mark.parametrize(
    ("environ", "state"),
    [("HOME=/root", "S"), (f"{MARK}=/other/lab", "S"), (f"{MARK}={OWNER}", "Z")],
    ids=["no mark", "another lab's", "a zombie"],
)
def test_inspect_ignores_what_is_not_ours_or_dead(tmp_path: Path, environ: str, state: str) -> None:
    assert inspect(42, OWNER, fake_proc(tmp_path, environ=environ, state=state)) is None


def test_inspect_of_an_ended_process_is_none(tmp_path: Path) -> None:
    assert inspect(42, OWNER, tmp_path) is None
