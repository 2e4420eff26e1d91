"""A sum of small decision trees through a sigmoid, in a JSON of our own; needs no library."""

import json
import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from model_server.metadata import ModelError

Row = Sequence[float]
Tree = Callable[[Row], float]


@dataclass(frozen=True)
class Trees:
    """A binary classifier of rows of `width` finite numbers."""

    width: int
    bias: float
    trees: tuple[Tree, ...]
    typecode: str = field(default="d", init=False)
    outputs: int = field(default=1, init=False)

    def predict(self, values: "array[float]", rows: int) -> list[float]:
        """Return one probability for each row."""
        if rows == 1:
            return [self._probability(values)]
        return [self._probability(values[at : at + self.width]) for at in range(0, rows * self.width, self.width)]

    def _probability(self, row: Row) -> float:
        score = self.bias + sum([tree(row) for tree in self.trees])
        return 1.0 / (1.0 + math.exp(-score))


def from_json(document: dict[str, Any], features: Sequence[str]) -> Trees:
    """Make a model of its JSON document: `bias` and `trees`.

    A tree is a number or `{"feature": name, "at": number, "below": tree, "above": tree}`;
    a value equal to `at` counts as above.
    """
    index = {name: position for position, name in enumerate(features)}
    return Trees(len(features), float(document["bias"]), tuple(_tree(node, index) for node in document["trees"]))


def from_file(text: bytes, features: Sequence[str]) -> Trees:
    """Make a model of a file.

    Raises ModelError.
    """
    try:
        return from_json(json.loads(text), features)
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"the trees cannot be read: {error!r}; see data/fraud.json for the form") from None


def _tree(node: Any, index: dict[str, int]) -> Tree:
    if isinstance(node, int | float):
        value = float(node)
        return lambda _: value
    position, at = index[node["feature"]], float(node["at"])
    below, above = _tree(node["below"], index), _tree(node["above"], index)
    return lambda row: below(row) if row[position] < at else above(row)
