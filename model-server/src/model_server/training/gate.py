"""The verdict as a `job` gate of a ModelRollout reads it: one short JSON object, for `/dev/termination-log`.

Kubernetes cuts a termination message off at 4096 bytes, and JSON that is cut off says nothing.
"""

import json
import math
from typing import Any

from model_server.training.evaluate import FAIL, Findings

LIMIT = 4096
"""Bytes that a termination message may have; what is written stays below."""
LONGEST = 300
"""Characters of the message, as many as the operator shows."""
SLICES = 8
"""Most slices whose numbers are told, the worst first."""


def verdict(found: Findings) -> bytes:
    """Return verdict, the reasons of its level, and at most 32 numbers; `warn` is a Pass that says why."""
    reasons = [reason for level, reason in found.reasons if level == found.verdict]
    return _written("Fail" if found.verdict == FAIL else "Pass", _line(reasons), _numbers(found.numbers))


def refusal(error: str) -> bytes:
    """Return the verdict where nothing could be compared: Fail, and why."""
    return _written("Fail", error, {})


def _written(word: str, message: str, numbers: dict[str, float]) -> bytes:
    text = " ".join(message.split())
    short = text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
    told = dict(numbers)
    while True:
        written = json.dumps({"verdict": word, "message": short, "numbers": told}, separators=(",", ":")).encode()
        # A character is twelve bytes at most, so that the message alone always fits; names of slices may be long.
        if len(written) < LIMIT:
            return written
        told.popitem()


def _line(reasons: list[str]) -> str:
    """Return the first reasons that fit, whole ones where possible, and how many were left out."""
    kept: list[str] = []
    for reason in reasons:
        if kept and len("; ".join([*kept, reason])) > LONGEST - 20:
            return f"{'; '.join(kept)}; and {len(reasons) - len(kept)} more"
        kept.append(reason)
    return "; ".join(kept)


def _numbers(found: dict[str, Any]) -> dict[str, float]:
    """Return the numbers that people ask for first; what was not measured is left out."""
    numbers: dict[str, Any] = {"rows": found["rows"]}
    for name in ("log_loss", "auc", "error"):
        measured = found[name]
        numbers |= {f"{name}_{side}": measured[side] for side in ("stable", "candidate")}
        change = measured["difference"]
        numbers |= {f"{name}_change": change["value"], f"{name}_low": change["low"], f"{name}_high": change["high"]}
    numbers["log_loss_constant"] = found["log_loss"]["baseline"]
    numbers |= {f"calibration_{name}": value for name, value in found["calibration_error"].items()}
    numbers["agreement"], numbers["predictions_ks"] = found["agreement"], found["predictions"]["ks"]
    skew = [max(apart["linf"], apart["ks"]) for apart in found["skew"]["features"].values()]
    numbers["skew_worst"] = max(skew, default=math.nan)
    slices = {name: each["difference"]["value"] for name, each in found["slices"].items() if "difference" in each}
    worst = sorted(slices, key=slices.__getitem__, reverse=True)[:SLICES]
    numbers |= {f"slice_{name[:40]}": slices[name] for name in worst}
    return {name: float(f"{value:.6g}") for name, value in numbers.items() if math.isfinite(value)}
