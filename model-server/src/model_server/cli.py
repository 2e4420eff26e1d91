"""What `model-server` can be told: serve, or data, train and evaluate."""

import argparse
import json
import sys
from pathlib import Path

from model_server.metadata import ModelError

FAILED, BAD_USE = 1, 2


def run(arguments: list[str]) -> int:
    """Run `data`, `train` or `evaluate`; return 0, 1 when the verdict is `fail`, or 2 when the input is of no use."""
    parsed = _parser().parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except (ModelError, ValueError, OSError, ImportError) as error:
        print(f"model-server {arguments[0]}: {error}", file=sys.stderr)
        if getattr(parsed, "gate", None):
            from model_server.training import gate  # noqa: PLC0415

            parsed.gate.write_bytes(gate.refusal(str(error)))
        return BAD_USE


def _data(given: argparse.Namespace) -> int:
    from model_server.training import synthetic, table  # noqa: PLC0415

    table.write_csv(given.out, synthetic.payments(given.rows, given.seed, given.defect))
    return 0


def _train(given: argparse.Namespace) -> int:
    from model_server.training import table, train  # noqa: PLC0415

    keys = ("target", "library", "name", "version", "slice_feature", "data", "run", "registry_version", "code", "seed")
    values = {key: getattr(given, f"run_{key}" if key == "run" else key) for key in keys}
    about = train.train(table.read(given.rows), train.Recipe(**values), given.out)
    print(json.dumps({"model": str(given.out), "sha256": about.sha256, "metrics": about.metrics}, indent=1))
    return 0


def _evaluate(given: argparse.Namespace) -> int:
    from model_server.model import load  # noqa: PLC0415
    from model_server.training import evaluate, gate, report, table  # noqa: PLC0415

    limits = evaluate.Limits(
        given.max_loss, given.max_slice_loss, given.max_calibration, given.skew_warn, given.skew_fail
    )
    serving = table.read(given.serving) if given.serving else None
    models = {"stable": load(given.stable), "candidate": load(given.candidate)}
    found = evaluate.evaluate(evaluate.Case(models, table.read(given.holdout), given.target, limits, serving))
    verdict = json.dumps(found.as_json(), indent=1)
    if given.json:
        given.json.write_text(verdict + "\n", encoding="utf-8")
    if given.gate:
        given.gate.write_bytes(gate.verdict(found))
    if given.report:
        given.report.write_text(report.html(found), encoding="utf-8")
    print(f"verdict: {found.verdict}")
    for level, reason in found.reasons:
        print(f"  {level}: {reason}")
    return FAILED if found.verdict == evaluate.FAIL else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="model-server", description="Without a command it serves, with settings from the environment."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    data = commands.add_parser("data", help="write the synthetic payments, sound or with a named defect")
    data.add_argument("out", type=Path, help="CSV to write")
    data.add_argument("--rows", type=int, default=20_000)
    data.add_argument("--seed", type=int, default=0)
    data.add_argument("--defect", default="", help="drifted, swapped, label-shift, worse-slice or leaking")
    data.set_defaults(run=_data)
    train = commands.add_parser("train", help="train a classifier on CSV or Parquet")
    train.add_argument("rows", type=Path, help="CSV or Parquet with a column for each feature and one of 0 and 1")
    train.add_argument("out", type=Path, help="folder for the model and its metadata")
    train.add_argument("--target", default="fraud", help="the column to predict")
    train.add_argument("--library", choices=("lightgbm", "xgboost"), default="lightgbm")
    train.add_argument("--name", default="fraud")
    train.add_argument("--version", default="1")
    train.add_argument("--slice", dest="slice_feature", default="", help="measure and count by this column's values")
    train.add_argument("--data", default="", help="id of the data snapshot; else its SHA-256")
    train.add_argument("--run", dest="run_run", default="", help="id of the training run")
    train.add_argument("--registry-version", default="", help="version in the model registry")
    train.add_argument("--code", default="", help="revision of the code")
    train.add_argument("--seed", type=int, default=0)
    train.set_defaults(run=_train)
    evaluate = commands.add_parser("evaluate", help="compare two models; exit code 1 when the candidate must not ship")
    for name in ("stable", "candidate"):
        evaluate.add_argument(f"--{name}", required=True, metavar="URI", help="folder or address of the model")
    evaluate.add_argument("--holdout", required=True, type=Path, help="labelled rows that neither model was trained on")
    evaluate.add_argument("--serving", type=Path, help="recent rows without labels, to find skew")
    evaluate.add_argument("--target", default="fraud")
    evaluate.add_argument("--json", type=Path, help="write the verdict there, with all that was measured")
    evaluate.add_argument(
        "--gate", type=Path, help="write a short verdict there, as a job gate reads it: /dev/termination-log"
    )
    evaluate.add_argument("--report", type=Path, help="write an HTML page there")
    for name, default in (
        ("max-loss", 0.005), ("max-slice-loss", 0.05), ("max-calibration", 0.05),
        ("skew-warn", 0.1), ("skew-fail", 0.25),
    ):  # fmt: skip
        evaluate.add_argument(f"--{name}", type=float, default=default)
    evaluate.set_defaults(run=_evaluate)
    return parser
