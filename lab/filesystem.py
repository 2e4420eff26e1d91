"""What the file system under a folder can do."""

import subprocess
import tempfile
from pathlib import Path


def carries_overlay(folder: Path) -> bool:
    """Tell by trying whether overlay mounts work on this folder's file system (root only)."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as top:
        layers = {name: Path(top) / name for name in ("lowerdir", "upperdir", "workdir", "merged")}
        for layer in layers.values():
            layer.mkdir()
        merged = str(layers.pop("merged"))
        options = ",".join(f"{name}={path}" for name, path in layers.items())
        mount = ["mount", "-t", "overlay", "overlay", "-o", options, merged]
        if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            return False
        subprocess.run(["umount", merged], check=True)
    return True
