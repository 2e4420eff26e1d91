"""From rows to a model, its metadata and nothing else: the same bytes for the same data, seed and libraries."""

import hashlib
import importlib
import platform
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from model_server import metadata
from model_server.evaluators import load
from model_server.metadata import FILE, Feature, Golden, Metadata
from model_server.signals.drift import bins_of
from model_server.training import measures
from model_server.training.measures import Floats
from model_server.training.table import Table, TableError

TREES, DEPTH = 100, 4
BINS = 10
HELD_OUT = 0.2
GOLDEN = 8
MAX_CATEGORIES = 100
MIN_ROWS = 50


@dataclass(frozen=True)
class Recipe:
    """What to train and what to say about it."""

    target: str
    library: str = "lightgbm"
    name: str = "model"
    version: str = "1"
    slice_feature: str = ""
    data: str = ""
    run: str = ""
    registry_version: str = ""
    code: str = ""
    seed: int = 0


def train(table: Table, recipe: Recipe, folder: Path) -> Metadata:
    """Train a binary classifier on four fifths of the rows, measure it on the rest, and write it to a folder.

    Raises TableError for data that cannot be used, ModelError for a library that is not installed.
    """
    features = describe(table, recipe.target)
    rows, label = table.matrix(features), target(table, recipe.target)
    if recipe.slice_feature and recipe.slice_feature not in [feature.name for feature in features]:
        raise TableError(f"slice {recipe.slice_feature!r}: no such column")
    if len(label) < MIN_ROWS:
        raise TableError(f"{table.origin}: {len(label)} rows are too few to train on; bring {MIN_ROWS} or more")
    order = np.random.default_rng(recipe.seed).permutation(len(label))
    held, fit = np.split(order, [int(HELD_OUT * len(order))])
    library: Any = importlib.import_module(recipe.library)
    fitter = _lightgbm if recipe.library == "lightgbm" else _xgboost
    data, file = fitter(library, features, rows[fit], label[fit], recipe.seed)
    about = Metadata(
        format="lightgbm" if recipe.library == "lightgbm" else "xgboost",
        file=file,
        features=tuple(_with_reference(feature, rows[fit, at]) for at, feature in enumerate(features)),
        sha256=hashlib.sha256(data).hexdigest(),
        name=recipe.name,
        version=recipe.version,
        slice_feature=recipe.slice_feature,
        slice_values=_slice_values(features, recipe.slice_feature, rows),
        data=recipe.data or table.sha256,
        run=recipe.run,
        registry_version=recipe.registry_version,
        code=recipe.code,
        seed=recipe.seed,
        libraries={recipe.library: library.__version__, "numpy": np.__version__, "python": platform.python_version()},
    )
    about = _measured(about, data, rows, label, (fit, held))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(data)
    (folder / FILE).write_bytes(metadata.encode(about))
    return about


def describe(table: Table, target_name: str) -> tuple[Feature, ...]:
    """Return the features that a table holds; bins are the quantiles of all rows."""
    table.column(target_name)
    found = []
    for name, texts in table.columns.items():
        if name == target_name:
            continue
        missing = "" in texts
        if table.is_numeric(name):
            found.append(Feature(name=name, missing=missing, bins=_quantiles(table.numbers(name))))
            continue
        categories = tuple(sorted({text for text in texts if text}))
        if len(categories) > MAX_CATEGORIES:
            text = f"column {name!r} has {len(categories)} categories; group them into {MAX_CATEGORIES} or fewer"
            raise TableError(f"{table.origin}: {text}")
        # What training never saw will come one day: it is read as missing.
        found.append(Feature(name=name, kind="category", categories=categories, missing=True))
    return tuple(found)


def target(table: Table, name: str) -> Floats:
    """Return the target, 0 or 1.

    Raises TableError.
    """
    label = table.numbers(name)
    if not np.isin(label, (0, 1)).all() or len(np.unique(label)) != 2:
        raise TableError(f"{table.origin}: the target {name!r} must hold 0 and 1, both of them, in every row")
    return label


def _quantiles(values: Floats) -> tuple[float, ...]:
    here = values[~np.isnan(values)]
    if not len(here):
        return ()
    # Rounded, so that they read well; equal ones become one.
    bounds = np.quantile(here, np.arange(1, BINS) / BINS, method="lower")
    return tuple(sorted({float(f"{bound:.8g}") for bound in bounds.tolist()}))


def _with_reference(feature: Feature, column: Floats) -> Feature:
    return structs.replace(feature, reference=tuple(np.round(reference(feature, column), 8).tolist()))


def reference(feature: Feature, column: Floats) -> Floats:
    """Return the share of rows in each bin of a feature, those with no value last."""
    here = column[~np.isnan(column)]
    counts = np.bincount(bins_of(feature, here), minlength=feature.bin_count)
    return measures.shares(np.append(counts, len(column) - len(here)))


def _slice_values(features: tuple[Feature, ...], name: str, rows: Floats) -> tuple[str, ...]:
    for at, feature in enumerate(features):
        if feature.name == name:
            if feature.categories:
                return feature.categories
            values = np.unique(rows[~np.isnan(rows[:, at]), at])
            if len(values) > BINS * 2:
                raise TableError(f"slice {name!r} has {len(values)} values; use a column with few")
            return tuple(f"{value:g}" for value in values.tolist())
    return ()


def _measured(about: Metadata, data: bytes, rows: Floats, label: Floats, split: tuple[Any, Any]) -> Metadata:
    """Add golden rows, the distribution of predictions and how good they are on the rows held out."""
    evaluator = load(data, about)
    fit, held = split

    def answers(chosen: Any) -> Floats:
        return predict(evaluator, rows[chosen])

    trained, p, y = answers(fit), answers(held), label[held]
    bounds = _quantiles(trained)
    counts = np.bincount(np.searchsorted(bounds, trained), minlength=len(bounds) + 1)
    golden = [
        Golden(
            row=tuple(None if np.isnan(value) else value for value in row.tolist()),
            answer=tuple(predict(evaluator, row[None, :]).tolist()),
        )
        for row in rows[held[:GOLDEN]]
    ]
    found: dict[str, float | dict[str, float]] = {"rows": float(len(y)), **scores(p, y)}
    for value, here in slices(about, rows[held]).items():
        found[f"{about.slice_feature}={value}"] = {"rows": float(here.sum()), **scores(p[here], y[here])}
    return structs.replace(
        about,
        prediction_bounds=bounds,
        prediction_reference=tuple(np.round(measures.shares(counts), 8).tolist()),
        golden=tuple(golden),
        metrics=found,
    )


def slices(about: Metadata, rows: Floats) -> dict[str, NDArray[np.bool_]]:
    """Return which rows belong to each slice that the metadata name."""
    if not about.slice_feature:
        return {}
    at = about.names.index(about.slice_feature)
    categories = about.features[at].categories
    return {
        value: rows[:, at] == (categories.index(value) if categories else float(value)) for value in about.slice_values
    }


def predict(evaluator: Any, rows: Floats) -> Floats:
    """Return the probabilities of rows, shape [rows]."""
    form = np.float64 if evaluator.typecode == "d" else np.float32
    return np.array(evaluator.predict(array(evaluator.typecode, rows.astype(form).tobytes()), len(rows)))


def scores(p: Floats, y: Floats) -> dict[str, float]:
    """Return how good probabilities are, rounded; empty when there is no row."""
    if not len(y):
        return {}
    area = measures.auc_difference(p, p, y)[0]
    found = {
        "log_loss": float(measures.log_loss(p, y).mean()),
        "brier": float(((p - y) ** 2).mean()),
        "error": float(((p >= 0.5) != (y > 0.5)).mean()),
        "auc": area,
    }
    return {name: round(value, 6) for name, value in found.items() if not np.isnan(value)}


def _lightgbm(library: Any, features: tuple[Feature, ...], rows: Floats, label: Floats, seed: int) -> tuple[bytes, str]:
    parameters = {
        "objective": "binary",
        "max_depth": DEPTH,
        "num_leaves": 2**DEPTH,
        "learning_rate": 0.1,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbose": -1,
    }
    categories = [at for at, feature in enumerate(features) if feature.categories]
    dataset = library.Dataset(rows, label, categorical_feature=categories, params=parameters)
    booster = library.train(parameters, dataset, TREES)
    return booster.model_to_string(importance_type="split").encode(), "model.txt"


def _xgboost(library: Any, features: tuple[Feature, ...], rows: Floats, label: Floats, seed: int) -> tuple[bytes, str]:
    types = ["c" if feature.categories else "q" for feature in features]
    matrix = library.DMatrix(rows, label, feature_types=types, enable_categorical=True)
    parameters = {
        "objective": "binary:logistic",
        "max_depth": DEPTH,
        "eta": 0.1,
        "seed": seed,
        "nthread": 1,
        "tree_method": "hist",
    }
    booster = library.train(parameters, matrix, TREES)
    return bytes(booster.save_raw("json")), "model.json"
