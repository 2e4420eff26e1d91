"""The example of a router of another package is installed here, and nowhere else."""

import tomllib
from pathlib import Path

import pytest

from tests.contract.routers.example import FOLDER


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what an installation of the example leaves beside its code."""
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]
    folder = tmp_path_factory.mktemp("installed")
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    lines = [f"[{group}]\n{_lines(points)}" for group, points in project["entry-points"].items()]
    (info / "entry_points.txt").write_text("\n".join(lines))
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    return folder


@pytest.fixture(autouse=True)
def installed_example(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the example for one test."""
    for folder in (FOLDER / "src", example):
        monkeypatch.syspath_prepend(str(folder))


def _lines(points: dict[str, str]) -> str:
    return "".join(f"{name} = {target}\n" for name, target in points.items())
