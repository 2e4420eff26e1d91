"""What is counted: bins that reproduce the usual distances, predictions, labels by cohort."""

import itertools
from array import array
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from model_server.metadata import Feature, Metadata, ModelError
from model_server.signals.drift import Drift
from model_server.signals.labels import COHORT_S, COHORTS, Labels
from tests.unit.model_server.conftest import Client

INFER = "/v2/models/fraud/infer"


def samples(families: Any, name: str) -> dict[tuple[str, ...], float]:
    """Return value by label values of one metric."""
    found = [sample for family in families for sample in family.samples if sample.name == name]
    return {tuple(sample.labels.values()): sample.value for sample in found}


async def scraped(http: Any, name: str) -> dict[tuple[str, ...], float]:
    return samples(text_string_to_metric_families((await http.get("/metrics")).text), name)


def about(**changes: Any) -> Metadata:
    features = (
        Feature(name="x", bins=(-1.0, 0.0, 1.0), missing=True),
        Feature(name="c", kind="category", categories=("a", "b", "c"), missing=True),
    )
    return Metadata(format="trees", file="x", features=features, **changes)


@pytest.mark.parametrize("typecode", ["d", "f"])
def test_bins_and_moments_are_those_of_numpy(typecode: str) -> None:
    rng = np.random.default_rng(1)
    rows = np.column_stack([rng.normal(size=5000), rng.integers(0, 3, 5000)]).astype(np.float32)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    predictions = rng.random(5000)
    drift = Drift(about(prediction_bounds=(0.25, 0.5)), typecode, 1)
    for at in range(0, 5000, 50):  # crosses the limit at which lists are folded
        part = rows[at : at + 50]
        drift.observe(array(typecode, part.ravel().tolist()), 50, predictions[at : at + 50].tolist())
    families = list(drift.collect())
    bins = samples(families, "model_server_feature_bin_total")
    here = [column[~np.isnan(column)].astype(float) for column in rows.T]
    edges = [-np.inf, -1, 0, 1, np.inf]
    wanted = [int(((here[0] > low) & (here[0] <= high)).sum()) for low, high in itertools.pairwise(edges)]
    assert [bins["x", str(number)] for number in range(4)] == wanted
    assert [bins["c", str(number)] for number in range(3)] == [int((here[1] == code).sum()) for code in range(3)]
    assert bins["x", "missing"] == 5000 - len(here[0])
    assert samples(families, "model_server_feature_sum")["x",] == pytest.approx(here[0].sum())
    assert samples(families, "model_server_feature_squares")["x",] == pytest.approx((here[0] ** 2).sum())
    assert samples(families, "model_server_feature_values_total")["c",] == len(here[1])
    buckets = samples(families, "model_server_prediction_bucket")
    below = [int((predictions <= bound).sum()) for bound in (0.25, 0.5, np.inf)]
    assert [buckets[le,] for le in ("0.25", "0.5", "+Inf")] == below
    assert samples(families, "model_server_prediction_count")[()] == 5000
    assert samples(families, "model_server_prediction_sum")[()] == pytest.approx(predictions.sum())


def test_one_absurd_value_does_not_spoil_the_sums() -> None:
    drift = Drift(about(), "d", 1)
    drift.observe(array("d", [1e200, 0.0]), 1, [0.5])
    drift.fold()
    drift.observe(array("d", [2.0, 0.0]), 1, [0.5])
    families = list(drift.collect())
    assert samples(families, "model_server_feature_sum")["x",] == 2
    assert samples(families, "model_server_feature_bin_total")["x", "3"] == 2


async def test_all_series_of_the_model_exist_at_0_before_the_first_request(client: Client) -> None:
    http = client(slice_feature="attempts", slice_values=("1", "2"))
    for name, count in (
        ("model_server_feature_bin_total", 11 + 11 + 11 + 8),
        ("model_server_prediction_bucket", 20),
        ("model_server_labels_total", 2 * 3),
        ("model_server_confusion_total", 4 * 3),
        ("model_server_feedback_total", 5),
        ("model_server_fallback_total", 4),
    ):
        found = await scraped(http, name)
        assert (len(found), sum(found.values())) == (count, 0), name
    (info,) = (await scraped(http, "model_server_model_info")).items()
    assert info[0][2:3] == ("fraud",)


async def test_feedback_is_joined_by_request_id_and_counted_by_cohort_outcome_and_slice(
    client: Client, body: dict[str, Any]
) -> None:
    http = client(slice_feature="attempts", slice_values=("1", "4"))
    await http.post(INFER, json=body, headers={"X-Request-Id": "r1"})  # predictions: 1 and 0; attempts 4 and 1
    labels = [
        {"id": "r1", "label": 1},
        {"id": "r1", "label": 1, "row": 1},
        {"id": "r1", "label": 0, "row": 1},
        {"id": "r1", "label": 0, "row": 2},
        {"id": "r1", "label": 0.5, "row": 0},
        {"id": "nobody", "label": 0},
    ]
    answer = await http.post("/feedback", json=labels)
    assert answer.json() == {"joined": 2, "unknown": 1, "late": 0, "double": 2, "invalid": 1}
    found = await scraped(http, "model_server_labels_total")
    assert {key[1:]: value for key, value in found.items() if value} == {("right", "4"): 1, ("wrong", "1"): 1}
    assert all(int(key[0]) % COHORT_S == 0 for key in found)
    confusion = await scraped(http, "model_server_confusion_total")
    assert {key: value for key, value in confusion.items() if value} == {("1", "1", "4"): 1, ("1", "0", "1"): 1}
    assert (await scraped(http, "model_server_feedback_total"))["double",] == 2


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"id": 1, "label": 1}', b'{"id": "x", "label": null}'])
async def test_feedback_that_cannot_be_read_says_what_to_send(client: Client, content: bytes) -> None:
    http = client()
    answer = await http.post("/feedback", content=content)
    assert answer.status_code == 400
    assert '"label": 1' in answer.json()["error"]
    assert (await http.get("/feedback")).status_code == 405


def row(values: list[float]) -> Any:
    return array("d", values)


def test_labels_belong_to_the_cohort_of_their_prediction_and_old_cohorts_go() -> None:
    now = [10_000 * COHORT_S + 7.0]
    labels = Labels(about(), 1, 100, lambda: now[0])
    labels.remember("a", row([0, 0]), 1, [0.9])
    now[0] += COHORT_S
    labels.remember("b", row([0, 0]), 1, [0.9])
    assert labels.label("a", 0, 1) == "joined"
    found = samples(labels.collect(), "model_server_labels_total")
    first = str(10_000 * COHORT_S)
    assert found[first, "right", ""] == 1
    assert len(found) == 4
    for _ in range(COHORTS):
        now[0] += COHORT_S
        labels.remember("c", row([0, 0]), 1, [0.1])
    assert labels.label("b", 0, 1) == "late"
    cohorts = {key[0] for key in samples(labels.collect(), "model_server_labels_total")}
    assert len(cohorts) == COHORTS
    assert first not in cohorts


def test_cohorts_are_as_long_as_asked_for() -> None:
    now = [1000.0]
    labels = Labels(about(), 1, 100, lambda: now[0], length=20)
    for name in ("a", "b"):
        labels.remember(name, row([0, 0]), 1, [0.9])
        labels.label(name, 0, 1)
        now[0] += 20
    found = samples(labels.collect(), "model_server_labels_total")
    assert {key[0] for key, value in found.items() if value} == {"1000", "1020"}


def test_the_store_is_bounded_by_rows_and_forgets_the_oldest() -> None:
    labels = Labels(about(), 1, 10, lambda: 0.0)
    for number in range(8):
        labels.remember(f"r{number}", row([0, 0] * 4), 4, [0.1] * 4)
    labels.remember("too much", row([0, 0] * 11), 11, [0.1] * 11)
    outcomes = [labels.label(f"r{number}", 0, 0) for number in range(8)]
    assert outcomes == ["unknown"] * 6 + ["joined"] * 2
    assert labels.label("too much", 0, 0) == "unknown"


def test_regressions_and_classes() -> None:
    labels = Labels(about(task="regression", tolerance=0.5), 1, 10, lambda: 0.0)
    labels.remember("a", row([0, 0] * 2), 2, [10.0, 20.0])
    assert [labels.label("a", 0, 10.5), labels.label("a", 1, 21.0)] == ["joined", "joined"]
    found = samples(labels.collect(), "model_server_labels_total")
    assert found == {("0", "right", ""): 1, ("0", "wrong", ""): 1}
    classes = Labels(about(), 3, 10, lambda: 0.0)
    classes.remember("a", row([0, 0] * 2), 2, [0.1, 0.2, 0.7, 0.5, 0.3, 0.2])
    assert [classes.label("a", 0, 2), classes.label("a", 1, 1), classes.label("a", 1, 3)] == [
        "joined",
        "joined",
        "double",
    ]
    matrix = samples(classes.collect(), "model_server_confusion_total")
    assert {key: value for key, value in matrix.items() if value} == {("", "2", "2"): 1, ("", "0", "1"): 1}


def test_slices_of_categories_and_values_that_are_none() -> None:
    labels = Labels(about(slice_feature="c", slice_values=("a", "c")), 1, 10, lambda: 0.0)
    labels.remember("r", row([0, 0, 0, 1, 0, float("nan")]), 3, [0.1] * 3)
    for number in range(3):
        labels.label("r", number, 0)
    found = samples(labels.collect(), "model_server_labels_total")
    assert {key[2]: value for key, value in found.items() if key[1] == "right"} == {"a": 1, "c": 0, "other": 2}
    with pytest.raises(ModelError, match="'z' is no value of the feature 'c'"):
        Labels(about(slice_feature="c", slice_values=("z",)), 1, 10)
