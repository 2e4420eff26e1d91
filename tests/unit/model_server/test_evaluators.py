"""Answers equal those of the library that trained the model, within rounding."""

import contextlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_server.evaluators import forest, lightgbm, ubjson
from model_server.evaluators.xgboost import _halfway
from model_server.metadata import ModelError
from tests.unit.model_server import models

ROUNDING = 1e-6

XGBOOST: list[tuple[str, dict[str, Any]]] = [
    ("binary", {"objective": "binary:logistic"}),
    ("binary", {"objective": "binary:logistic", "max_cat_to_onehot": 2, "base_score": 0.2}),
    ("binary", {"objective": "binary:logistic", "max_leaves": 9, "grow_policy": "lossguide", "tree_method": "hist"}),
    ("number", {"objective": "reg:squarederror", "booster": "dart", "rate_drop": 0.3}),
    ("number", {"objective": "reg:absoluteerror"}),
    ("counts", {"objective": "count:poisson"}),
    ("classes", {"objective": "multi:softprob", "num_class": 3, "num_parallel_tree": 2}),
]
LIGHTGBM: list[tuple[str, dict[str, Any]]] = [
    ("binary", {"objective": "binary"}),
    ("number", {"objective": "regression"}),
    ("number", {"objective": "regression_l1"}),
    ("counts", {"objective": "poisson"}),
    ("classes", {"objective": "multiclass", "num_class": 3}),
]


@pytest.mark.parametrize("categories", [False, True], ids=["numbers", "categories"])
@pytest.mark.parametrize(("kind", "parameters"), XGBOOST)
def test_xgboost(kind: str, parameters: dict[str, Any], categories: bool) -> None:
    for seed, form in ((1, "json"), (2, "ubj")):
        data, rows, wanted = models.xgboost(seed, kind, parameters, categories=categories, form=form)
        evaluator = models.loaded(data, "xgboost")
        found = models.answers(evaluator, rows)
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=ROUNDING, atol=ROUNDING)
        for row in range(5):
            np.testing.assert_allclose(models.answers(evaluator, rows[row : row + 1])[0], found[row], rtol=0, atol=0)


@pytest.mark.parametrize("value", [-1.0, 3.0, 39.0, 40.0, 4000.0, math.nan])
def test_xgboost_categories_that_training_never_saw(value: float) -> None:
    parameters = {"objective": "binary:logistic", "max_cat_to_onehot": 2}
    xgboost = pytest.importorskip("xgboost")
    data, rows, _ = models.xgboost(3, "binary", parameters, categories=True, form="json")
    rows[:, 1] = value
    types = ["c" if column in models.CATEGORIES else "q" for column in range(models.FEATURES)]
    booster = xgboost.Booster(model_file=bytearray(data))
    if value == -1.0:
        # The library refuses negative categories in a matrix; it treats them as any it never saw.
        rows[:, 1] = 4000.0
    matrix = xgboost.DMatrix(rows, feature_types=types, enable_categorical=True)
    wanted = booster.predict(matrix).reshape(-1, 1)
    rows[:, 1] = value
    found = models.answers(models.loaded(data, "xgboost"), rows)
    np.testing.assert_allclose(found, wanted, rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("categories", [False, True], ids=["numbers", "categories"])
@pytest.mark.parametrize(("kind", "parameters"), LIGHTGBM)
def test_lightgbm(kind: str, parameters: dict[str, Any], categories: bool) -> None:
    data, rows, wanted = models.lightgbm(4, kind, parameters, categories=categories)
    evaluator = models.loaded(data, "lightgbm")
    found = models.answers(evaluator, rows)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(models.answers(evaluator, rows[7:8])[0], wanted[7], rtol=1e-12)


def test_onnx_takes_the_second_of_two_probabilities() -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper = onnx.helper
    rng = np.random.default_rng(5)
    weights = rng.normal(size=(models.FEATURES, 2)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["score"]),
        helper.make_node("Softmax", ["score"], ["probabilities"], axis=1),
    ]
    inputs = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, models.FEATURES])]
    outputs = [helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, [None, 2])]
    constants = [onnx.numpy_helper.from_array(weights, "weights")]
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    evaluator = models.loaded(model.SerializeToString(), "onnx")
    rows = rng.normal(size=(50, models.FEATURES))
    score = np.exp(rows.astype(np.float32) @ weights)
    wanted = (score / score.sum(axis=1, keepdims=True))[:, 1]
    assert evaluator.outputs == 1
    np.testing.assert_allclose(models.answers(evaluator, rows)[:, 0], wanted, rtol=1e-5)
    regression = models.loaded(model.SerializeToString(), "onnx", task="regression")
    assert regression.outputs == 2


def test_onnx_tells_nobody(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    script = """
from model_server.evaluators.onnx import Session
from model_server.metadata import Feature, Metadata, ModelError
try:
    Session(b"no model", Metadata("onnx", "m", (Feature("a"),)))
except ModelError as error:
    print(error)
"""
    environ = {name: value for name, value in os.environ.items() if name not in ("CI", "XDG_CACHE_HOME")}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env={**environ, "HOME": str(tmp_path)}, capture_output=True, text=True, check=True)
    assert "onnxruntime cannot load" in done.stdout
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [], "it keeps an identifier for its telemetry"


def test_what_cannot_be_served_is_refused_with_a_reason() -> None:
    pytest.importorskip("lightgbm")
    pytest.importorskip("onnxruntime")
    data, _, _ = models.xgboost(1, "number", {"objective": "reg:squarederror"}, categories=False, form="json")
    document = json.loads(data)

    def changed(change: str) -> bytes:
        learner = json.loads(data)["learner"]
        if change == "objective":
            learner["objective"]["name"] = "survival:cox"
        elif change == "booster":
            learner["gradient_booster"]["name"] = "gblinear"
        elif change == "width":
            learner["learner_model_param"]["num_feature"] = "7"
        elif change == "loop":
            learner["gradient_booster"]["model"]["trees"][0]["left_children"][0] = 0
        else:
            del learner["gradient_booster"]["model"]["trees"][0]["split_indices"]
        return json.dumps({"learner": learner}).encode()

    assert set(document) == {"learner", "version"}
    for form, content, said in (
        ("xgboost", changed("objective"), "objective 'survival:cox' is not served"),
        ("xgboost", changed("booster"), "booster 'gblinear' is not served"),
        ("xgboost", changed("width"), "takes 7 features, its metadata names 6"),
        ("xgboost", changed("loop"), "two parents"),
        ("xgboost", changed("damage"), "cannot be read: KeyError"),
        ("xgboost", b"{", "neither XGBoost's JSON nor its UBJSON"),
        ("xgboost", b"[]", "holds no 'learner'"),
        ("lightgbm", b"no model", "no LightGBM model as text"),
        ("onnx", b"no model", "onnxruntime cannot load"),
        ("trees", b"{}", "the trees cannot be read"),
    ):
        with pytest.raises(ModelError) as caught:
            models.loaded(content, form)
        assert said in str(caught.value)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_bound_between_two_singles_splits_singles_as_less_than_does(bound: float) -> None:
    halfway = _halfway(bound)
    below = float(np.nextafter(np.float32(bound), np.float32(-np.inf)))
    assert below <= halfway < bound or (math.isinf(below) and halfway < bound)


@settings(max_examples=200)
@given(st.binary(max_size=60).map(lambda tail: b"{" + tail))
def test_damaged_ubjson_is_an_error_of_one_kind(data: bytes) -> None:
    with contextlib.suppress(ubjson.UbjsonError):
        ubjson.loads(data)


def test_ubjson_containers_of_each_form() -> None:
    data = (
        b"{i\x01aSi\x02hii\x01b[Zi\x05TF]i\x01c[$l#i\x02\x00\x00\x00\x01\xff\xff\xff\xffi\x01d[#i\x01D"
        + b"\x40"
        + b"\0" * 7
        + b"}"
    )
    assert ubjson.loads(data) == {"a": "hi", "b": [None, 5, True, False], "c": [1, -1], "d": [2.0]}


@pytest.mark.parametrize("categories", [False, True], ids=["numbers", "categories"])
@pytest.mark.parametrize(("kind", "parameters"), LIGHTGBM)
def test_our_library_and_lightgbms_give_the_same(kind: str, parameters: dict[str, Any], categories: bool) -> None:
    data, rows, _ = models.lightgbm(5, kind, parameters, categories=categories)
    ours = forest.load(data, models.FEATURES)
    if ours is None:
        pytest.skip("there was no compiler when model-server was installed")
    theirs = models.answers(lightgbm.Booster(data, models.FEATURES), rows)
    np.testing.assert_allclose(models.answers(ours, rows), theirs, rtol=1e-12, atol=1e-12)
    whole = np.nan_to_num(rows)
    theirs = models.answers(lightgbm.Booster(data, models.FEATURES), whole)
    np.testing.assert_allclose(models.answers(ours, whole), theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("number", {"objective": "regression", "linear_tree": True}),
        ("number", {"objective": "regression", "reg_sqrt": True}),
        ("binary", {"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}),
        ("binary", {"objective": "cross_entropy_lambda"}),
        ("binary", {"objective": "binary", "zero_as_missing": True}),
    ],
)
def test_what_our_library_does_not_know_is_left_to_lightgbms(kind: str, parameters: dict[str, Any]) -> None:
    data, rows, wanted = models.lightgbm(6, kind, parameters, categories=False)
    assert forest.load(data, models.FEATURES) is None
    np.testing.assert_allclose(models.answers(models.loaded(data, "lightgbm"), rows), wanted, rtol=1e-12)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"left_child=", b"left_child=0 "),
        (b"split_feature=", b"split_feature=99 "),
        (b"split_feature=", b"split_feature=-1 "),
        (b"threshold=", b"threshold=x "),
        (b"leaf_value=", b"leaf_value=1 "),
        (b"max_feature_idx=5", b"max_feature_idx=7"),
    ],
)
def test_a_damaged_lightgbm_model_is_refused_not_walked(old: bytes, new: bytes) -> None:
    data, _, _ = models.lightgbm(7, "binary", {"objective": "binary"}, categories=False)
    try:
        assert forest.load(data.replace(old, new, 1), models.FEATURES) is None
    except ModelError:
        return
    pytest.skip("there was no compiler when model-server was installed")
