"""Payments that never were, some of them fraud: a data set with defects that have names.

Nothing in it was ever anybody's. The same number of rows, seed and defect give the same bytes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

TARGET = "fraud"
SLICE = "country"
COUNTRIES = ("de", "es", "fr", "it", "pl")
CHANNELS = ("app", "phone", "web")
WEAK = 10
DEFECTS = {
    "drifted": "amounts are two and a half times as high and hours later: what comes in changed, what it means did not",
    "swapped": "the columns amount and account_age_days carry each other's values",
    "label-shift": "fraud is three times as common",
    "worse-slice": f"labels of one {SLICE} ({COUNTRIES[3]}) are drawn by a coin: a model learns nothing there",
    "leaking": "velocity_24h gives the label away, which it cannot when a payment is judged",
}
_Floats = NDArray[np.float64]


def payments(rows: int, seed: int, defect: str = "") -> dict[str, Sequence[str]]:
    """Return columns as text, the target `fraud` last.

    Raises ValueError for a defect that does not exist.
    """
    if defect and defect not in DEFECTS:
        raise ValueError(f"no defect {defect!r}; there are {', '.join(DEFECTS)}")
    rng = np.random.default_rng(seed)
    columns = _columns(rng, rows)
    country = rng.choice(len(COUNTRIES), rows, p=[0.35, 0.15, 0.25, 0.15, 0.10])
    channel = rng.choice(len(CHANNELS), rows, p=[0.5, 0.1, 0.4])
    if defect == "drifted":
        columns["amount"] *= 2.5
        columns["hour"] = (columns["hour"] + 6) % 24
    score = _score(columns, country, channel) + (1.4 if defect == "label-shift" else 0.0)
    label = rng.random(rows) < 1 / (1 + np.exp(-score))
    coin = rng.random(rows)
    if defect == "worse-slice":
        label = np.where(country == COUNTRIES.index("it"), coin < 0.5, label)
    if defect == "leaking":
        columns["velocity_24h"] = columns["velocity_24h"] + 30 * label
    if defect == "swapped":
        columns["amount"], columns["account_age_days"] = columns["account_age_days"], columns["amount"]
    absent = rng.random((2, rows))
    text: dict[str, Sequence[str]] = {name: _text(values) for name, values in columns.items()}
    text["distance_km"] = np.where(absent[0] < 0.1, "", text["distance_km"]).tolist()
    text[SLICE] = np.where(absent[1] < 0.03, "", np.array(COUNTRIES)[country]).tolist()
    text["channel"] = np.array(CHANNELS)[channel].tolist()
    text[TARGET] = _text(label.astype(float))
    return text


def _columns(rng: np.random.Generator, rows: int) -> dict[str, _Floats]:
    columns: dict[str, NDArray[Any]] = {
        "amount": np.round(rng.lognormal(4.2, 1.1, rows), 2),
        "hour": np.floor(24 * rng.beta(2.2, 1.6, rows)),
        "account_age_days": np.floor(rng.exponential(300, rows)),
        "attempts": 1.0 + rng.poisson(0.7, rows),
        "distance_km": np.round(rng.lognormal(2.5, 1.3, rows), 1),
        "merchant_risk": np.round(rng.beta(2, 6, rows), 3),
        "velocity_1h": rng.poisson(0.5, rows).astype(float),
        "velocity_24h": rng.poisson(4, rows).astype(float),
    }
    for number in range(WEAK):
        columns[f"signal_{number}"] = np.round(rng.normal(size=rows), 3)
    return {name: np.asarray(values, dtype=np.float64) for name, values in columns.items()}


def _score(columns: dict[str, _Floats], country: NDArray[np.int64], channel: NDArray[np.int64]) -> _Floats:
    score = -4.4 + 0.9 * np.log(columns["amount"] / 66)
    score += 1.3 * (columns["account_age_days"] < 60) + 0.8 * (columns["attempts"] - 1)
    score += 0.5 * np.log1p(columns["distance_km"] / 12) + 5 * columns["merchant_risk"]
    score += 0.9 * (columns["hour"] < 6) + 0.7 * columns["velocity_1h"] * (channel == 2)
    score += np.array([0.0, 0.4, -0.2, 0.6, 0.9])[country]
    for number in range(WEAK):
        score += 0.15 * columns[f"signal_{number}"]
    return np.asarray(score, dtype=np.float64)


def _text(values: _Floats) -> list[str]:
    return [f"{value:.10g}" for value in values.tolist()]
