"""Files that commands read: rollouts and whatever else, with faults that name file, field and remedy."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from modelrollout.api.base import API_VERSION, KIND
from modelrollout.api.resource import InvalidRollout, ModelRollout, parse
from modelrollout.cli.errors import CliError, ExitCode


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document of a file."""

    file: str
    line: int
    """The line on which it begins, from 1."""
    content: Any
    node: yaml.Node
    """The same as YAML nodes, which know their lines."""


def read_text(path: Path) -> str:
    """Return a file's text."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise CliError(ExitCode.USAGE, f"{path}: cannot be read: {reason}") from None


def documents(path: Path) -> Iterator[Document]:
    """Return the documents of a YAML file; empty ones are left out."""
    loader = yaml.SafeLoader(read_text(path))
    loader.name = path.name
    try:
        while loader.check_node():
            node = loader.get_node()
            content = loader.construct_document(node)
            if node is not None and content is not None:
                yield Document(str(path), node.start_mark.line + 1, content, node)
    except yaml.YAMLError as error:
        raise CliError(ExitCode.USAGE, f"{path}: not YAML: {' '.join(str(error).split())}") from None
    finally:
        loader.dispose()


def is_rollout(content: object) -> bool:
    """Say whether a document is a ModelRollout."""
    return isinstance(content, dict) and content.get("kind") == KIND and content.get("apiVersion") == API_VERSION


def one_rollout(path: Path) -> ModelRollout:
    """Return the one ModelRollout of a file."""
    found = [document for document in documents(path) if is_rollout(document.content)]
    if len(found) != 1:
        count = f"{len(found)} ModelRollouts" if found else f"no ModelRollout of {API_VERSION}"
        raise CliError(ExitCode.USAGE, f"{path}: {count} in the file; give a file with exactly one")
    try:
        return parse(found[0].content)
    except InvalidRollout as error:
        raise CliError(ExitCode.USAGE, f"{path}: {error}") from None
