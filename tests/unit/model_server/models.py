"""Random models with missing values and categories, and the answers of the libraries that trained them."""

from array import array
from typing import Any

import numpy as np
import pytest

from model_server.evaluators import Evaluator, load
from model_server.metadata import Feature, Metadata

FEATURES, ROWS = 6, 400
CATEGORIES = {0: 40, 1: 3}  # a wide one and one that is split value by value


def data(seed: int, *, categories: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return rows, a seventh of their values missing, and a target that follows some columns."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(ROWS, FEATURES)).astype(np.float32).astype(np.float64)
    for column, count in CATEGORIES.items():
        if categories:
            rows[:, column] = rng.integers(0, count, ROWS)
    signal = rows[:, 2] - rows[:, 3] * rows[:, 4] + np.sin(rows[:, 0]) + rng.normal(size=ROWS)
    rows[rng.random(rows.shape) < 0.15] = np.nan
    return rows, signal


def target(signal: np.ndarray, kind: str) -> np.ndarray:
    """Return the target as what is learnt needs it."""
    if kind == "binary":
        return (signal > 0).astype(int)
    if kind == "classes":
        return np.digitize(signal, [-1, 1])
    return np.abs(signal).round() if kind == "counts" else signal


def metadata(form: str, **more: Any) -> Metadata:
    """Return metadata for the random models."""
    features = tuple(Feature(name=f"x{number}", missing=True) for number in range(FEATURES))
    return Metadata(format=form, file="model", features=features, **more)


def answers(evaluator: Evaluator, rows: np.ndarray) -> np.ndarray:
    """Return the evaluator's answers, shape [rows, outputs]."""
    values = array(evaluator.typecode, rows.ravel().tolist())
    return np.array(evaluator.predict(values, len(rows))).reshape(len(rows), evaluator.outputs)


def xgboost(seed: int, kind: str, parameters: dict[str, Any], *, categories: bool, form: str) -> Any:
    """Return a model as bytes, rows and the library's own answers."""
    library = pytest.importorskip("xgboost")
    rows, signal = data(seed, categories=categories)
    types = ["c" if categories and column in CATEGORIES else "q" for column in range(FEATURES)]
    matrix = library.DMatrix(rows, target(signal, kind), feature_types=types, enable_categorical=categories)
    booster = library.train({"nthread": 1, "max_depth": 4, "seed": seed, **parameters}, matrix, 20)
    return bytes(booster.save_raw(form)), rows, booster.predict(matrix).reshape(ROWS, -1)


def lightgbm(seed: int, kind: str, parameters: dict[str, Any], *, categories: bool) -> Any:
    """Return a model as bytes, rows and the library's own answers."""
    library = pytest.importorskip("lightgbm")
    rows, signal = data(seed, categories=categories)
    columns = sorted(CATEGORIES) if categories else []
    dataset = library.Dataset(rows, target(signal, kind), categorical_feature=columns, params={"verbose": -1})
    settings = {"num_threads": 1, "num_leaves": 16, "verbose": -1, "seed": seed, "min_data_in_leaf": 5, **parameters}
    booster = library.train(settings, dataset, 20)
    return booster.model_to_string().encode(), rows, booster.predict(rows).reshape(ROWS, -1)


def loaded(data_: bytes, form: str, **more: Any) -> Evaluator:
    """Load a model."""
    return load(data_, metadata(form, **more))
