"""The old model against the new one on rows that neither has seen: a verdict, its reasons and its numbers."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_server.model import Model
from model_server.training import measures
from model_server.training.measures import Floats, Interval
from model_server.training.table import Table
from model_server.training.train import predict, reference, slices, target

PASS, WARN, FAIL = "pass", "warn", "fail"
_ORDER = {PASS: 0, WARN: 1, FAIL: 2}
MIN_SLICE = 30


@dataclass(frozen=True)
class Limits:
    """What is tolerated: losses in nats, errors as a fraction, distances of shares as L-infinity.

    A loss within its limit must be *shown*: the interval's upper end counts, so too few rows are no pass.
    """

    max_loss: float = 0.005
    max_slice_loss: float = 0.05
    max_calibration: float = 0.05
    skew_warn: float = 0.1
    skew_fail: float = 0.25


@dataclass
class Findings:
    """All that was found. `verdict` is the worst of the levels in `reasons`."""

    numbers: dict[str, Any] = field(default_factory=dict)
    reasons: list[tuple[str, str]] = field(default_factory=list)
    points: dict[str, list[tuple[float, float, int]]] = field(default_factory=dict)
    histogram: dict[str, list[float]] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """Return `pass`, `warn` or `fail`."""
        return max((level for level, _ in self.reasons), key=_ORDER.__getitem__, default=PASS)

    def say(self, level: str, reason: str) -> None:
        """Add a reason."""
        self.reasons.append((level, reason))

    def as_json(self) -> dict[str, Any]:
        """Return the verdict for a gate."""
        reasons = [{"level": level, "reason": reason} for level, reason in self.reasons]
        return {"verdict": self.verdict, "reasons": reasons, **self.numbers}


@dataclass(frozen=True)
class Case:
    """Two models, and labelled rows that neither has seen; `serving` are rows as they came in lately, without labels.

    Raises TableError when the rows lack a column that a model needs.
    """

    models: dict[str, Model]
    holdout: Table
    target: str
    limits: Limits
    serving: Table | None = None

    @cached_property
    def y(self) -> Floats:
        """The labels."""
        return target(self.holdout, self.target)

    @cached_property
    def p(self) -> dict[str, Floats]:
        """The probabilities that each model gives."""
        return {
            name: predict(model.evaluator, self.holdout.matrix(model.metadata.features))
            for name, model in self.models.items()
        }

    def losses(self, here: Any = slice(None)) -> dict[str, Floats]:
        """Return the log loss of each row, of some of them."""
        return {name: measures.log_loss(each[here], self.y[here]) for name, each in self.p.items()}


def evaluate(case: Case) -> Findings:
    """Compare two models, `stable` and `candidate`.

    Raises TableError.
    """
    found = Findings()
    found.numbers["rows"] = len(case.y)
    found.numbers["models"] = {name: _about(model) for name, model in case.models.items()}
    for part in (_quality, _slices, _calibration, _predictions, _skew):
        part(found, case)
    return found


def _about(model: Model) -> dict[str, str]:
    about = model.metadata
    return {"name": about.name, "version": about.version, "sha256": model.sha256, "data": about.data, "run": about.run}


def _quality(found: Findings, case: Case) -> None:
    p, y, losses = case.p, case.y, case.losses()
    baseline = measures.log_loss(np.full(len(y), y.mean()), y)
    difference = measures.mean(losses["candidate"] - losses["stable"])
    candidate, stable, area = measures.auc_difference(p["candidate"], p["stable"], y)
    wrong = {name: ((each >= 0.5) != (y > 0.5)).astype(np.float64) for name, each in p.items()}
    found.numbers["log_loss"] = {
        "baseline": round(float(baseline.mean()), 6),
        **{name: round(float(each.mean()), 6) for name, each in losses.items()},
        "difference": difference.as_json(),
    }
    found.numbers["auc"] = {
        "stable": round(stable, 6), "candidate": round(candidate, 6), "difference": area.as_json(),
    }  # fmt: skip
    found.numbers["error"] = {
        **{name: round(float(each.mean()), 6) for name, each in wrong.items()},
        "difference": measures.mean(wrong["candidate"] - wrong["stable"]).as_json(),
    }
    _judge(found, "log loss", difference, case.limits.max_loss)
    if measures.mean(losses["candidate"] - baseline).high > 0:
        found.say(FAIL, "the candidate is not shown to be better than always answering the mean of the labels")


def _judge(found: Findings, what: str, difference: Interval, margin: float) -> None:
    interval = f"{difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})"
    if difference.low > margin:
        found.say(FAIL, f"{what} is worse by {interval}, more than {margin:g}")
    elif difference.high > margin:
        found.say(FAIL, f"{what} changed by {interval}: too few rows to show that it is no more than {margin:g}")
    else:
        found.say(PASS, f"{what} changed by {interval}, at most {margin:g}")


def _slices(found: Findings, case: Case) -> None:
    candidate, limits = case.models["candidate"], case.limits
    rows = case.holdout.matrix(candidate.metadata.features)
    found.numbers["slices"] = {}
    for value, here in slices(candidate.metadata, rows).items():
        losses = case.losses(here)
        difference = measures.mean(losses["candidate"] - losses["stable"])
        count = int(here.sum())
        found.numbers["slices"][value] = {
            "rows": count,
            **({name: round(float(each.mean()), 6) for name, each in losses.items()} if count else {}),
            **({"difference": difference.as_json()} if count > 1 else {}),
        }
        label = f"{candidate.metadata.slice_feature}={value}"
        if count < MIN_SLICE:
            found.say(WARN, f"{label}: only {count} rows, nothing can be said of this slice")
        elif difference.low > limits.max_slice_loss:
            change = f"{difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})"
            found.say(FAIL, f"{label}: log loss is worse by {change}, more than {limits.max_slice_loss:g}")
        elif difference.low > 0:
            found.say(WARN, f"{label}: log loss is worse by {difference.value:+.4f}, within what is tolerated")


def _calibration(found: Findings, case: Case) -> None:
    errors = {}
    for name, each in case.p.items():
        errors[name], found.points[name] = measures.calibration(each, case.y)
    found.numbers["calibration_error"] = {name: round(value, 6) for name, value in errors.items()}
    if errors["candidate"] > max(case.limits.max_calibration, errors["stable"]):
        text = f"calibration error is {errors['candidate']:.3f}, more than {case.limits.max_calibration:g}"
        found.say(FAIL, f"{text}: probabilities do not mean what they say")


def _predictions(found: Findings, case: Case) -> None:
    p = case.p
    bounds = case.models["stable"].metadata.prediction_bounds
    counts = {
        name: measures.shares(np.bincount(np.searchsorted(bounds, each), minlength=len(bounds) + 1))
        for name, each in p.items()
    }
    found.histogram = {name: each.tolist() for name, each in counts.items()}
    apart = measures.distances(counts["candidate"], counts["stable"])
    found.numbers["predictions"] = {name: round(value, 6) for name, value in apart.items()}
    found.numbers["agreement"] = round(float(((p["candidate"] >= 0.5) == (p["stable"] >= 0.5)).mean()), 6)


def _skew(found: Findings, case: Case) -> None:
    """Compare what the candidate was trained on with what it meets."""
    candidate, limits = case.models["candidate"], case.limits
    rows, origin = (case.serving, "serving") if case.serving else (case.holdout, "holdout")
    skew: dict[str, dict[str, float]] = {}
    matrix: NDArray[np.float64] = rows.matrix(candidate.metadata.features)
    for at, feature in enumerate(candidate.metadata.features):
        if not feature.reference:
            continue
        apart = measures.distances(reference(feature, matrix[:, at]), np.array(feature.reference))
        skew[feature.name] = {name: round(value, 6) for name, value in apart.items()}
        far = max(apart["linf"], apart["ks"])
        if far > limits.skew_warn:
            level = FAIL if far > limits.skew_fail else WARN
            text = f"{feature.name}: {origin} data are {far:.2f} away from the candidate's training data"
            found.say(level, f"{text} (L-infinity {apart['linf']:.2f}, KS {apart['ks']:.2f}, PSI {apart['psi']:.2f})")
    found.numbers["skew"] = {"against": origin, "features": skew}
