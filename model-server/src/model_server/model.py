"""The built-in model: a sum of small decision trees through a sigmoid."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

Row = Sequence[float]
Tree = Callable[[Row], float]


@dataclass(frozen=True)
class Model:
    """A binary classifier of rows of `len(features)` finite numbers."""

    features: tuple[str, ...]
    output: str
    bias: float
    trees: tuple[Tree, ...]

    def predict(self, rows: Sequence[Row]) -> list[float]:
        """Return one probability for each row."""
        return [self._probability(row) for row in rows]

    def _probability(self, row: Row) -> float:
        score = self.bias + sum(tree(row) for tree in self.trees)
        return 1.0 / (1.0 + math.exp(-score))


def built_in() -> Model:
    """Load the model that comes with the package."""
    text = resources.files("model_server").joinpath("data/fraud.json").read_text(encoding="utf-8")
    return from_json(json.loads(text))


def from_json(document: dict[str, Any]) -> Model:
    """Make a model of its JSON document: `features`, `output`, `bias` and `trees`.

    A tree is a number or `{"feature": name, "at": number, "below": tree, "above": tree}`;
    a value equal to `at` counts as above.
    """
    features = tuple(document["features"])
    index = {name: position for position, name in enumerate(features)}
    trees = tuple(_tree(node, index) for node in document["trees"])
    return Model(features, document["output"], float(document["bias"]), trees)


def _tree(node: Any, index: dict[str, int]) -> Tree:
    if isinstance(node, int | float):
        value = float(node)
        return lambda _: value
    position, at = index[node["feature"]], float(node["at"])
    below, above = _tree(node["below"], index), _tree(node["above"], index)
    return lambda row: below(row) if row[position] < at else above(row)
