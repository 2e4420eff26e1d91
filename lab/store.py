"""The cache: folders named after a hash of what they were made from."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

KEY_LENGTH = 16


def key(*inputs: str | Path) -> str:
    """Return a hash of `inputs`: texts by value, files and folders by name, mode and content."""
    digest = hashlib.sha256()
    for item in inputs:
        if isinstance(item, Path):
            for file in _files(item):
                name = file.relative_to(item).as_posix() if file != item else file.name
                executable = os.access(file, os.X_OK)
                digest.update(f"file {name} {executable} ".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
        else:
            digest.update(f"text {len(item)} {item}".encode())
    return digest.hexdigest()[:KEY_LENGTH]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    ignored = {"__pycache__", ".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
    return sorted(
        file for file in path.rglob("*") if file.is_file() and not ignored.intersection(file.relative_to(path).parts)
    )


class Store:
    """Entries of the cache; an entry is whole or absent, also after a killed run."""

    def __init__(self, cache: Path) -> None:
        self.entries = cache / "entries"
        self.unfinished = cache / "unfinished"

    def path(self, name: str, entry_key: str) -> Path:
        """Return where the entry is, or would be."""
        return self.entries / f"{name}-{entry_key}"

    def get(self, name: str, entry_key: str, build: Callable[[Path], None]) -> Path:
        """Return the entry's folder, built by `build(folder)` if it is missing.

        A new entry replaces older ones of the same name.
        """
        target = self.path(name, entry_key)
        if target.exists():
            return target
        self.entries.mkdir(parents=True, exist_ok=True)
        self.unfinished.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.unfinished))
        folder.chmod(0o755)
        try:
            build(folder)
            folder.rename(target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        for other in self.entries.glob(f"{name}-{'[0-9a-f]' * KEY_LENGTH}"):
            if other != target:
                shutil.rmtree(other, ignore_errors=True)
        return target

    def sweep(self) -> None:
        """Remove what killed runs left unfinished; only under the cache's lock."""
        shutil.rmtree(self.unfinished, ignore_errors=True)
