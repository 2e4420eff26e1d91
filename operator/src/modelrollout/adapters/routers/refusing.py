"""How a router says that it cannot do what a rollout asks for: who, which field or step, why, and what helps."""

from collections.abc import Iterator
from typing import Final, TypeVar

from modelrollout.api.resource import ModelRollout
from modelrollout.api.strategy import Step
from modelrollout.core.split import Split
from modelrollout.core.strategies import steps_of
from modelrollout.ports import TerminalError

STICKY: Final = "spec.strategy.sticky"
PREVIEW: Final = "spec.traffic.preview.hostnames"
Settings = TypeVar("Settings")


def refusal(rollout: ModelRollout, router: str, place: str, why: str, remedy: str) -> TerminalError:
    """Return the error to raise from `check`; `place` is the field or step as a user spells it."""
    meta = rollout.metadata
    return TerminalError(f"ModelRollout {meta.namespace}/{meta.name}: {place}: router {router} {why}; {remedy}")


def asked(rollout: ModelRollout, router: str, settings: Settings | None) -> Settings:
    """Return what a rollout says under `spec.traffic.<router>`; TerminalError where it says nothing."""
    if settings is None:
        meta = rollout.metadata
        raise TerminalError(f"ModelRollout {meta.namespace}/{meta.name}: spec.traffic.{router} is missing; add it")
    return settings


def steps(rollout: ModelRollout, kind: str) -> Iterator[tuple[str, Step]]:
    """Yield the steps of a kind (`shadow`, `match`, ...), each with its place: `spec.strategy.steps[1] (shadow 10%)`.

    A step that the strategy's type brings is told by the type.
    """
    written = rollout.spec.strategy.steps is not None
    for index, step in enumerate(steps_of(rollout.spec)):
        if step.kind == kind:
            place = f"steps[{index}]" if written else f"type {rollout.spec.strategy.type}"
            yield f"spec.strategy.{place} ({step.name})", step


def check_issued(rollout: ModelRollout, router: str, why: str) -> None:
    """Refuse a cookie that the gateway is to issue."""
    sticky = rollout.spec.strategy.sticky
    if sticky is not None and sticky.issued is not None:
        remedy = "write sticky.header or sticky.cookie: a key that clients send (or route by spec.traffic.traefik)"
        raise refusal(rollout, router, f"{STICKY}.issued", why, remedy)


def asks_for(split: Split) -> str:
    """Return the field by which a rollout asks for what a split matches."""
    return STICKY if split.matched is not None and split.matched.patterns else "spec.strategy.steps"


def preview_hostnames(rollout: ModelRollout) -> list[str]:
    """Return the host names of the preview route; none: there is no such route."""
    preview = rollout.spec.traffic.preview
    return list(preview.hostnames) if preview else []
