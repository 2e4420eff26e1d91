"""XGBoost's models as JSON or UBJSON, evaluated as LightGBM's.

XGBoost's own call costs about 100 us for one row, LightGBM's 2 us, and both walk the same kind of trees, so the trees
are written down in LightGBM's text format. What differs, and how it is kept equal:

- XGBoost goes left where x < t, LightGBM where x <= t. Values and bounds are single floats in XGBoost, so a bound
  halfway between t and the single below it splits them alike.
- A set of categories goes right in XGBoost and left in LightGBM: the children change places.
- LightGBM sends a missing category right, XGBoost where the node says: missing becomes a category of its own.
- The base score joins the leaves of the first tree. Sums are kept in doubles, in XGBoost in singles: answers differ
  by rounding alone.
"""

import json
import math
import struct
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from model_server.evaluators import load_lightgbm, ubjson
from model_server.metadata import Metadata, ModelError


def _logit(base: float) -> float:
    return math.log(base / (1 - base))


def _same(base: float) -> float:
    return base


# objective -> (LightGBM's objective with the same link, the base score as a margin)
OBJECTIVES: dict[str, tuple[str, Callable[[float], float]]] = {
    "binary:logistic": ("binary sigmoid:1", _logit),
    "reg:logistic": ("binary sigmoid:1", _logit),
    "reg:squarederror": ("", _same),
    "reg:absoluteerror": ("", _same),
    "reg:pseudohubererror": ("", _same),
    "reg:quantileerror": ("", _same),
    "count:poisson": ("poisson", math.log),
    "reg:gamma": ("poisson", math.log),
    "reg:tweedie": ("poisson", math.log),
    "multi:softprob": ("multiclass num_class:{classes}", _same),
    "rank:ndcg": ("", _same),
    "rank:map": ("", _same),
    "rank:pairwise": ("", _same),
}
_CATEGORICAL, _DEFAULT_LEFT, _NAN_IS_MISSING = 1, 2, 8
_Columns = dict[str, list[str]]


class Translated:
    """An XGBoost model (gbtree or dart); rows are singles, as XGBoost reads them."""

    typecode = "f"

    def __init__(self, data: bytes, metadata: Metadata) -> None:
        width = len(metadata.features)
        try:
            text, self._missing = translate(_document(data), width)
        except (KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
            raise ModelError(f"the XGBoost model cannot be read: {error!r}; save it with save_model") from None
        self._booster = load_lightgbm(text.encode(), width, "f")
        self._width, self.outputs = width, self._booster.outputs

    def predict(self, values: "array[float]", rows: int) -> list[float]:
        """Return `rows` x `outputs` numbers for `rows` x `width` singles."""
        return self._booster.predict(self._recoded(values) if self._missing else values, rows)

    def _recoded(self, values: "array[float]") -> "array[float]":
        # The caller's values go on to be counted and must stay as they came.
        values = array("f", values)
        for feature, missing in self._missing.items():
            for at in range(feature, len(values), self._width):
                value = values[at]
                if math.isnan(value):
                    values[at] = missing
                elif not 0 <= value < missing:
                    values[at] = missing + 1  # in no node's set, as any category that training never saw
        return values


def _document(data: bytes) -> dict[str, Any]:
    try:
        # A UBJSON object opens with the same byte; only in JSON is a quotation mark the next character.
        document = json.loads(data) if data[1:].lstrip()[:1] == b'"' else ubjson.loads(data)
    except ValueError as error:
        raise ModelError(f"the file is neither XGBoost's JSON nor its UBJSON: {error}") from None
    if not isinstance(document, dict) or "learner" not in document:
        raise ModelError("the file holds no 'learner': is it a model that XGBoost's save_model wrote?")
    return document


def translate(document: dict[str, Any], width: int) -> tuple[str, dict[int, int]]:
    """Return LightGBM's text of a model, and the category that stands for missing of each feature that needs one.

    Raises ModelError for what LightGBM cannot say, and KeyError and its kin for a damaged document.
    """
    learner = document["learner"]
    parameters = learner["learner_model_param"]
    objective = learner["objective"]["name"]
    if objective not in OBJECTIVES:
        raise ModelError(f"objective {objective!r} is not served; one of {', '.join(OBJECTIVES)} is")
    if int(parameters["num_feature"]) != width:
        raise ModelError(f"the model takes {parameters['num_feature']} features, its metadata names {width}")
    if int(parameters.get("num_target", 1)) > 1:
        raise ModelError("models of several targets are not served; train one model for each target")
    classes = max(int(parameters["num_class"]), 1)
    link, margin = OBJECTIVES[objective]
    trees, weights = _trees(learner["gradient_booster"])
    model = _by_class(trees, weights, _classes(learner["gradient_booster"]), classes)
    bases = [margin(base) for base in _numbers(parameters["base_score"])]
    missing = _missing_codes([tree for tree, _ in model])
    blocks = [_tree(tree, weight, _base(bases, at, classes), missing) for at, (tree, weight) in enumerate(model)]
    return _text(blocks, link.format(classes=classes), classes, width), missing


def _trees(booster: dict[str, Any]) -> tuple[list[dict[str, Any]], list[float]]:
    if booster["name"] == "dart":
        trees = booster["gbtree"]["model"]["trees"]
        return trees, [float(weight) for weight in booster["weight_drop"]]
    if booster["name"] != "gbtree":
        raise ModelError(f"booster {booster['name']!r} is not served; gbtree and dart are")
    trees = booster["model"]["trees"]
    return trees, [1.0] * len(trees)


def _classes(booster: dict[str, Any]) -> list[int]:
    model = booster["gbtree"]["model"] if booster["name"] == "dart" else booster["model"]
    return [int(each) for each in model["tree_info"]]


def _by_class(
    trees: list[dict[str, Any]], weights: list[float], of: list[int], classes: int
) -> list[tuple[dict[str, Any], float]]:
    """Order trees as LightGBM counts them: the i-th belongs to class i modulo the number of classes."""
    grouped: list[list[tuple[dict[str, Any], float]]] = [[] for _ in range(classes)]
    for tree, weight, group in zip(trees, weights, of, strict=True):
        if int(tree["tree_param"].get("size_leaf_vector", 1)) > 1:
            raise ModelError(
                "trees with vectors as leaves are not served; train with multi_strategy=one_output_per_tree"
            )
        grouped[group].append((tree, weight))
    if not trees or len({len(group) for group in grouped}) != 1:
        raise ModelError("the model has no trees, or not equally many for each class")
    return [each for step in zip(*grouped, strict=True) for each in step]


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.strip("[]").split(",")]


def _base(bases: list[float], at: int, classes: int) -> float:
    if at >= classes:
        return 0.0
    return bases[at] if len(bases) > 1 else bases[0]


def _sets(tree: dict[str, Any]) -> dict[int, list[int]]:
    """Return the categories that go right, by node."""
    rows = zip(tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"], strict=True)
    return {int(node): [int(each) for each in tree["categories"][begin : begin + size]] for node, begin, size in rows}


def _missing_codes(trees: Sequence[dict[str, Any]]) -> dict[int, int]:
    highest: dict[int, int] = {}
    for tree in trees:
        for node, categories in _sets(tree).items():
            feature = int(tree["split_indices"][node])
            highest[feature] = max(highest.get(feature, 0), *categories)
    return {feature: code + 1 for feature, code in highest.items()}


def _tree(tree: dict[str, Any], weight: float, base: float, missing: dict[int, int]) -> str:
    left, right = tree["left_children"], tree["right_children"]
    inner, leaves = _numbering(left, right)
    sets, values = _sets(tree), tree["split_conditions"]
    columns: _Columns = {name: [] for name in ("feature", "threshold", "type", "left", "right")}
    boundaries, words = [0], list[int]()
    for node in inner:
        children = [inner[child] if child in inner else ~leaves[child] for child in (left[node], right[node])]
        feature, default_left = int(tree["split_indices"][node]), bool(tree["default_left"][node])
        if node in sets:
            categories = sets[node] + ([] if default_left else [missing[feature]])
            threshold, kind = str(len(boundaries) - 1), _CATEGORICAL
            words += _bits(categories)
            boundaries.append(len(words))
            children.reverse()
        else:
            threshold = repr(_halfway(float(values[node])))
            kind = _NAN_IS_MISSING | (_DEFAULT_LEFT if default_left else 0)
        row = (str(feature), threshold, str(kind), str(children[0]), str(children[1]))
        for column, text in zip(columns.values(), row, strict=True):
            column.append(text)
    answers = [repr(float(values[leaf]) * weight + base) for leaf in leaves]
    return _block(columns, answers, boundaries, words)


def _numbering(left: list[int], right: list[int]) -> tuple[dict[int, int], dict[int, int]]:
    """Give inner nodes and leaves numbers of their own, from the root on; what pruning cut off is left out."""
    inner: dict[int, int] = {}
    leaves: dict[int, int] = {}
    waiting = [0]
    while waiting:
        node = waiting.pop()
        if node in inner or node in leaves:
            raise ModelError("a tree has a node with two parents: the file is damaged")
        if left[node] < 0:
            leaves[node] = len(leaves)
        else:
            inner[node] = len(inner)
            waiting += [right[node], left[node]]
    return inner, leaves


def _halfway(bound: float) -> float:
    """Return the number halfway between a single and the single below it."""
    (bits,) = struct.unpack("<i", struct.pack("<f", bound))
    (bound,) = struct.unpack("<f", struct.pack("<f", bound))
    if bound == 0:
        return -(2.0**-150)
    (below,) = struct.unpack("<f", struct.pack("<i", bits - 1 if bound > 0 else bits + 1))
    return float((bound + below) / 2)


def _bits(categories: list[int]) -> list[int]:
    words = [0] * (max(categories) // 32 + 1)
    for category in categories:
        words[category // 32] |= 1 << category % 32
    return words


def _block(columns: _Columns, answers: list[str], boundaries: list[int], words: list[int]) -> str:
    lines = [f"num_leaves={len(answers)}", f"num_cat={len(boundaries) - 1}"]
    if len(answers) > 1:
        names = ("split_feature", "threshold", "decision_type", "left_child", "right_child")
        lines += [f"{name}={' '.join(column)}" for name, column in zip(names, columns.values(), strict=True)]
    lines.append(f"leaf_value={' '.join(answers)}")
    if words:
        lines.append(f"cat_boundaries={' '.join(map(str, boundaries))}")
        lines.append(f"cat_threshold={' '.join(map(str, words))}")
    return "\n".join([*lines, "is_linear=0", "shrinkage=1", "", "", ""])


def _text(blocks: list[str], link: str, classes: int, width: int) -> str:
    trees = [f"Tree={number}\n{block}" for number, block in enumerate(blocks)]
    head = [
        "tree",
        "version=v4",
        f"num_class={classes}",
        f"num_tree_per_iteration={classes}",
        "label_index=0",
        f"max_feature_idx={width - 1}",
        *([f"objective={link}"] if link else []),
        f"feature_names={' '.join(f'f{i}' for i in range(width))}",
        f"feature_infos={' '.join(['none'] * width)}",
        f"tree_sizes={' '.join(str(len(tree)) for tree in trees)}",
    ]
    return "\n".join(head) + "\n\n" + "".join(trees) + "end of trees\n"
