"""LightGBM's text format, read and walked by a small library of our own where one was compiled.

It answers what LightGBM's own library does, several times faster for many rows. What it does not know (linear trees,
rare objectives, zero as missing) and every machine without a compiler at installation is left to that library.
"""

import ctypes
import importlib.machinery
from array import array
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_server.metadata import ModelError

_MISSING_LEFT, _CATEGORICAL = 1, 2
_NODE = np.dtype(
    [("threshold", "<f8"), ("feature", "<i4"), ("right", "<i4"), ("left", "<i4"), ("kind", "<i4"), ("words", "<i4"),
     ("unused", "<i4")]
)  # fmt: skip
_IDENTITY, _SIGMOID, _EXPONENT, _SOFTMAX = range(4)
_LINKS = {
    "binary": _SIGMOID, "cross_entropy": _SIGMOID, "multiclassova": _SIGMOID, "multiclass": _SOFTMAX,
    "poisson": _EXPONENT, "gamma": _EXPONENT, "tweedie": _EXPONENT,
    "regression": _IDENTITY, "regression_l1": _IDENTITY, "huber": _IDENTITY, "fair": _IDENTITY, "quantile": _IDENTITY,
    "mape": _IDENTITY, "lambdarank": _IDENTITY, "rank_xendcg": _IDENTITY, "": _IDENTITY,
}  # fmt: skip
MAX_NODES = 2**31 // _NODE.itemsize - 1  # addresses within the table are of 32 bits
_Fields = dict[str, str]
_Table = NDArray[np.void]


class UnsupportedError(Exception):
    """The model, or this machine, is one for LightGBM's own library."""


class _Forest(ctypes.Structure):
    _fields_ = (
        ("nodes", ctypes.c_void_p),
        ("roots", ctypes.c_void_p),
        ("depths", ctypes.c_void_p),
        ("sets", ctypes.c_void_p),
        ("trees", ctypes.c_int32),
        ("classes", ctypes.c_int32),
        ("link", ctypes.c_int32),
        ("categories", ctypes.c_int32),
        ("scale", ctypes.c_double),
    )


@cache
def _library() -> ctypes.CDLL:
    for ending in importlib.machinery.EXTENSION_SUFFIXES:
        path = Path(__file__).with_name(f"_walk{ending}")
        if path.exists():
            # A walk takes microseconds: letting go of the interpreter meanwhile would cost more than it gives.
            library = ctypes.PyDLL(str(path))
            pointer, size = ctypes.c_void_p, ctypes.c_int64
            for function in (library.walk_doubles, library.walk_singles):
                function.argtypes = [pointer, pointer, size, size, pointer]
                function.restype = None
            return library
    raise UnsupportedError("the library was not compiled when model-server was installed")


class Forest:
    """A model in LightGBM's text format, for rows of `width` numbers."""

    def __init__(self, text: bytes, width: int, *, typecode: str = "d") -> None:
        library = _library()
        head, trees = _read(text)
        if int(head["max_feature_idx"]) + 1 != width:
            features = int(head["max_feature_idx"]) + 1
            raise ModelError(f"the model takes {features} features, its metadata names {width}")
        self.typecode, self._width = typecode, width
        self.outputs = int(head["num_class"])
        link, scale = _link(head)
        nodes, roots, depths, sets = _table(trees, width)
        # Kept here because the structure holds addresses alone.
        self._parts = (nodes, roots, depths, sets)
        for name in ("left", "right"):
            nodes[name] *= _NODE.itemsize
        roots *= _NODE.itemsize
        pointers = [part.ctypes.data for part in self._parts]
        self._forest = _Forest(*pointers, len(trees), self.outputs, link, int((nodes["words"] > 0).any()), scale)
        self._address = ctypes.addressof(self._forest)
        self._walk = library.walk_doubles if typecode == "d" else library.walk_singles
        self._one = (ctypes.c_double * self.outputs)()
        self._out = ctypes.addressof(self._one)

    def predict(self, values: "array[float]", rows: int) -> list[float]:
        """Return `rows` x `outputs` numbers for `rows` x `width` values."""
        if rows == 1:
            self._walk(self._address, values.buffer_info()[0], 1, self._width, self._out)
            return self._one[:]
        answers = (ctypes.c_double * (rows * self.outputs))()
        self._walk(self._address, values.buffer_info()[0], rows, self._width, ctypes.addressof(answers))
        return answers[:]


def _read(text: bytes) -> tuple[_Fields, list[_Fields]]:
    """Return the fields of the model and of each tree."""
    if not text.startswith(b"tree\n") or b"end of trees" not in text:
        raise ModelError("the file is no LightGBM model as text; save it with Booster.save_model")
    blocks = text.partition(b"end of trees")[0].decode().split("\nTree=")
    return _fields(blocks[0]), [_fields(block) for block in blocks[1:]]


def _fields(block: str) -> _Fields:
    return {name: value for name, _, value in (line.partition("=") for line in block.splitlines())}


def _link(head: _Fields) -> tuple[int, float]:
    name, _, options = head.get("objective", "").partition(" ")
    if name not in _LINKS or "sqrt" in options.split() or "average_output" in head:
        raise UnsupportedError(f"objective {name!r}")
    scale = [float(option[8:]) for option in options.split() if option.startswith("sigmoid:")]
    return _LINKS[name], scale[0] if scale else 1.0


def _table(trees: list[_Fields], width: int) -> tuple[_Table, NDArray[np.int32], NDArray[np.int32], NDArray[np.uint32]]:
    tables, roots, depths, sets = [], [0], [], [0]
    for tree in trees:
        table, words = _tree(tree, roots[-1], len(sets), width)
        tables.append(table)
        depths.append(_depth(table, roots[-1]))
        roots.append(roots[-1] + len(table))
        sets += words
    nodes = np.concatenate(tables) if tables else np.zeros(1, _NODE)
    if len(nodes) > MAX_NODES:
        raise UnsupportedError(f"{len(nodes)} nodes")
    return nodes, np.array(roots, np.int32), np.array(depths or [0], np.int32), np.array(sets, np.uint32)


def _tree(tree: _Fields, first: int, offset: int, width: int) -> tuple[_Table, list[int]]:
    """Return a tree's nodes, inner ones before leaves, numbered from `first`; and the words of its sets."""
    if tree.get("is_linear", "0") != "0":
        raise UnsupportedError("linear trees")
    leaves = _numbers(tree, "leaf_value")
    inner = len(leaves) - 1
    table = np.zeros(inner + len(leaves), _NODE)
    table["threshold"][inner:] = leaves
    table["left"][inner:] = table["right"][inner:] = first + np.arange(inner, len(table))
    if not inner:
        return table, []
    kinds = _numbers(tree, "decision_type").astype(np.int64)
    thresholds = _numbers(tree, "threshold")
    for side in ("left", "right"):
        child = _numbers(tree, f"{side}_child").astype(np.int64)
        table[side][:inner] = first + np.where(child >= 0, child, inner + ~child)
    table["feature"][:inner] = _numbers(tree, "split_feature").astype(np.int64)
    missing = (kinds >> 2) & 3
    categorical = (kinds & 1).astype(bool)
    if ((missing == 1) & ~categorical).any():
        raise UnsupportedError("zero as missing")
    # Where training saw nothing missing, the library reads NaN as 0.
    left = np.where(missing == 2, (kinds & 2) > 0, thresholds >= 0)
    table["threshold"][:inner] = thresholds
    table["kind"][:inner] = np.where(categorical, _CATEGORICAL, np.where(left, _MISSING_LEFT, 0))
    if not categorical.any():
        _check(table, first, inner, width)
        return table, []
    bounds = _numbers(tree, "cat_boundaries").astype(np.int64)
    chosen = thresholds[categorical].astype(np.int64)
    at = np.flatnonzero(categorical)
    table["threshold"][at] = offset + bounds[chosen]
    table["words"][at] = bounds[chosen + 1] - bounds[chosen]
    _check(table, first, inner, width)
    return table, [int(word) for word in tree["cat_threshold"].split()]


def _check(table: _Table, first: int, inner: int, width: int) -> None:
    """Make sure that no walk can leave the table: the file may come from anywhere."""
    children = np.concatenate([table["left"][:inner], table["right"][:inner]]) - first
    features = table["feature"][:inner]
    # Each node but the root has one parent: then there is no way round in a circle.
    if sorted(children.tolist()) != list(range(1, len(table))) or features.min() < 0 or features.max() >= width:
        raise ModelError("a tree of the LightGBM model is damaged")


def _depth(table: _Table, first: int) -> int:
    depth, level = 0, np.zeros(1, np.int64)
    while True:
        below = np.concatenate([table["left"][level], table["right"][level]]) - first
        level = np.unique(below[below != np.concatenate([level, level])])
        if not len(level):
            return depth
        depth += 1


def _numbers(tree: _Fields, name: str) -> NDArray[np.float64]:
    return np.array([float(each) for each in tree[name].split()])


def load(text: bytes, width: int, typecode: str = "d") -> Forest | None:
    """Return the model, or None when LightGBM's own library has to do.

    Raises ModelError.
    """
    try:
        return Forest(text, width, typecode=typecode)
    except UnsupportedError:
        return None
    except ModelError:
        raise
    except (KeyError, ValueError, IndexError) as error:
        raise ModelError(f"the LightGBM model cannot be read: {error!r}") from None
