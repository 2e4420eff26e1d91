"""Data to model to verdict: reproducible, and each defect is found by what is meant to find it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model_server import cli, model
from model_server.training import evaluate, gate, measures, synthetic, table
from modelrollout.adapters.gates.verdict import said

ROWS = 6000
Run = Callable[..., int]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with rows held out and a model to replace."""
    pytest.importorskip("lightgbm")
    folder = tmp_path_factory.mktemp("shop")
    assert cli.run(["data", f"{folder}/holdout.csv", "--rows", str(ROWS), "--seed", "2"]) == 0
    assert trained(folder, "stable", "1") == 0
    return folder


def trained(folder: Path, name: str, seed: str, *more: str, rows: int = ROWS) -> int:
    defect = ["--defect", more[0]] if more and more[0] in synthetic.DEFECTS else []
    rest = list(more[1:] if defect else more)
    assert cli.run(["data", f"{folder}/{name}.csv", "--rows", str(rows), "--seed", seed, *defect]) == 0
    return cli.run(["train", f"{folder}/{name}.csv", f"{folder}/{name}", "--slice", "country", *rest])


def evaluated(folder: Path, candidate: str, *more: str) -> tuple[int, str, str]:
    """Return exit code, verdict and reasons that are not `pass`."""
    models = ["--stable", f"{folder}/stable", "--candidate", f"{folder}/{candidate}"]
    out = ["--json", f"{folder}/{candidate}.json", "--report", f"{folder}/{candidate}.html"]
    code = cli.run(["evaluate", *models, "--holdout", f"{folder}/holdout.csv", *out, *more])
    found = json.loads((folder / f"{candidate}.json").read_text())
    reasons = [f"{each['level']}: {each['reason']}" for each in found["reasons"] if each["level"] != "pass"]
    return code, found["verdict"], "\n".join(reasons)


@pytest.mark.parametrize(
    ("defect", "code", "said"),
    [
        ("swapped", 1, ["fail: log loss", "fail: amount: holdout data", "fail: account_age_days: holdout data"]),
        ("label-shift", 1, ["fail: log loss", "fail: calibration error"]),
        ("worse-slice", 1, ["fail: country=it: log loss is worse"]),
        ("leaking", 1, ["fail: log loss", ": velocity_24h: holdout data"]),
        ("drifted", 1, ["fail: amount: holdout data"]),
    ],
)
def test_each_defect_of_the_data_is_found(shop: Path, defect: str, code: int, said: list[str]) -> None:
    assert trained(shop, defect, "3", defect) == 0
    found, verdict, reasons = evaluated(shop, defect)
    assert (found, verdict) == (code, "fail")
    assert all(part in reasons for part in said), reasons


def test_a_gate_is_told_in_short(shop: Path) -> None:
    assert trained(shop, "wrong", "3", "swapped") == 0
    file = shop / "gate.json"
    assert evaluated(shop, "wrong", "--gate", str(file))[0] == 1
    failed, content = said(file.read_bytes()), file.read_bytes()
    assert len(content) < 4096
    assert failed is not None
    assert failed.verdict == "Fail"
    assert failed.message.startswith("log loss is worse by")
    assert failed.numbers["log_loss_candidate"] > failed.numbers["log_loss_constant"]
    assert {"rows", "auc_stable", "skew_worst", "agreement", "slice_it"} <= failed.numbers.keys()
    assert json.loads(content)["numbers"] == failed.numbers, "no more numbers than the operator takes"
    assert evaluated(shop, "stable", "--gate", str(file))[0] == 0
    passed = said(file.read_bytes())
    assert passed is not None
    assert passed.verdict == "Pass"
    assert passed.message


def test_a_gate_is_told_why_nothing_could_be_compared(shop: Path) -> None:
    file = shop / "refused.json"
    models = ["--stable", f"{shop}/stable", "--candidate", f"{shop}/none"]
    assert cli.run(["evaluate", *models, "--holdout", f"{shop}/holdout.csv", "--gate", str(file)]) == 2
    found = said(file.read_bytes())
    assert found is not None
    assert (found.verdict, found.numbers) == ("Fail", {})
    assert str(shop / "none") in found.message


@pytest.mark.parametrize("name", ["x" * 4000, "\N{GRINNING FACE}" * 4000])
def test_a_gate_is_told_no_more_than_kubernetes_keeps(shop: Path, name: str) -> None:
    models = {side: model.load(str(shop / "stable")) for side in ("stable", "candidate")}
    found = evaluate.evaluate(evaluate.Case(models, table.read(shop / "holdout.csv"), "fraud", evaluate.Limits()))
    found.say(evaluate.FAIL, name)
    found.numbers["slices"] = {f"{name}{at}": {"difference": {"value": 1.0}} for at in range(40)}
    content = gate.verdict(found)
    assert len(content) < 4096
    told = said(content)
    assert told is not None
    assert told.verdict == "Fail"
    assert told.numbers["rows"] == ROWS


def test_a_model_of_more_rows_passes_and_its_report_stands_alone(shop: Path) -> None:
    pytest.importorskip("xgboost")
    assert trained(shop, "better", "4", "--library", "xgboost", "--version", "2", rows=4 * ROWS) == 0
    code, verdict, reasons = evaluated(shop, "better")
    assert (code, verdict) == (0, "pass"), reasons
    page = (shop / "better.html").read_text()
    assert "<svg" in page
    assert "src=" not in page
    assert "href=" not in page


def test_recent_rows_without_labels_show_skew(shop: Path) -> None:
    columns = synthetic.payments(2000, 9, "drifted")
    table.write_csv(shop / "serving.csv", {name: each for name, each in columns.items() if name != "fraud"})
    code, _, reasons = evaluated(shop, "stable", "--serving", f"{shop}/serving.csv")
    assert code == 1
    assert "amount: serving data" in reasons


def test_training_is_reproducible_to_the_byte_and_its_model_serves(shop: Path) -> None:
    again = ["train", f"{shop}/stable.csv", f"{shop}/again", "--slice", "country"]
    assert cli.run(again) == 0
    for name in ("model.txt", "metadata.json"):
        assert (shop / "stable" / name).read_bytes() == (shop / "again" / name).read_bytes()
    about = model.load(str(shop / "stable")).metadata
    assert (about.slice_feature, about.slice_values) == ("country", synthetic.COUNTRIES)
    assert len(about.golden) == 8
    assert sum(about.features[0].reference) == pytest.approx(1)
    assert about.libraries.keys() == {"lightgbm", "numpy", "python"}
    assert "country=it" in about.metrics


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        ("a,fraud\n1,2\n", [], "must hold 0 and 1"),
        ("a,fraud\n1,0\n2,1\n", [], "too few to train on"),
        ("a,fraud\n1\n", [], "has not 2 values"),
        ("a,fraud\n", [], "there are no rows"),
        ("a,b\n1,1\n", [], "no column 'fraud'"),
        ("a,fraud\n1,0\n2,1\n", ["--slice", "z"], "slice 'z': no such column"),
    ],
)
def test_data_of_no_use_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, arguments: list[str], said: str
) -> None:
    (tmp_path / "d.csv").write_text(content)
    assert cli.run(["train", f"{tmp_path}/d.csv", f"{tmp_path}/m", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_measures_agree_with_definitions() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(400) < 0.4).astype(float)
    one, other = np.round(rng.random(400) + 0.3 * y, 1), rng.random(400)
    by_pairs = (one[y == 1][:, None] > one[y == 0]).mean() + 0.5 * (one[y == 1][:, None] == one[y == 0]).mean()
    area, _, difference = measures.auc_difference(one, other, y)
    assert area == pytest.approx(by_pairs)
    assert difference.low < difference.value < difference.high
    assert measures.auc_difference(one, one, y)[2].high == 0
    p, q = np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.5, 0.25])
    found = measures.distances(p, q)
    assert (found["linf"], found["ks"]) == (0.25, 0.25)
    assert found["psi"] == pytest.approx(0.25 * np.log(2) + 0.2499 * np.log(2500), rel=1e-3)
    assert all(value == 0 for value in measures.distances(p, p).values())


def test_parquet_is_read_as_csv_is(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {"amount": [1.5, None], "country": ["de", None], "fraud": [0, 1]}
    parquet.write_table(arrow.table(columns), tmp_path / "d.parquet")
    found = table.read(tmp_path / "d.parquet")
    assert found.columns == {"amount": ["1.5", ""], "country": ["de", ""], "fraud": ["0", "1"]}
