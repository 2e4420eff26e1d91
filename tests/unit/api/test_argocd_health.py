"""The health script for Argo CD, run by a Lua of the version that Argo CD has."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from lupa.lua51 import LuaRuntime  # type: ignore[import-untyped]

from modelrollout.api.status import Phase, Status
from modelrollout.core.conditions import conditions

SCRIPT = (Path(__file__).parents[3] / "manifests" / "argocd" / "health.lua").read_text()


def health(generation: int, status: dict[str, Any] | None) -> tuple[str, str]:
    lua = LuaRuntime()
    resource: dict[str, Any] = {"metadata": {"generation": generation}}
    if status is not None:
        resource["status"] = status
    lua.globals().obj = lua.table_from(resource, recursive=True)
    result = lua.execute(SCRIPT)
    return str(result["status"]), str(result["message"])


def reported(phase: Phase, refused: str | None = None) -> dict[str, Any]:
    """Return a status with the conditions that the operator gives it."""
    status = Status(observed_generation=3, phase=phase, message="why")
    told = status.model_copy(update={"conditions": conditions(status, refused, datetime(2026, 1, 1, tzinfo=UTC))})
    return told.model_dump(mode="json", by_alias=True, exclude_none=True)


@pytest.mark.parametrize(
    ("phase", "refused", "expected"),
    [
        (Phase.INITIALIZING, None, "Progressing"),
        (Phase.PROGRESSING, None, "Progressing"),
        (Phase.PAUSED, None, "Suspended"),
        (Phase.GUARDING, None, "Progressing"),
        (Phase.PROMOTED, None, "Healthy"),
        (Phase.ROLLED_BACK, None, "Degraded"),
        (Phase.PROMOTED, "spec.traffic: no such port", "Degraded"),
    ],
)
def test_health_follows_the_conditions(phase: Phase, refused: str | None, expected: str) -> None:
    assert health(3, reported(phase, refused)) == (expected, "why")


@pytest.mark.parametrize("status", [None, {}, reported(Phase.PROMOTED)])
def test_a_status_of_another_generation_says_nothing(status: dict[str, Any] | None) -> None:
    assert health(4, status) == ("Progressing", "waiting for the operator to see the change")
