"""Several routers of one rollout, as one."""

from dataclasses import dataclass, field, replace

import pytest

from modelrollout.adapters.routers.several import Several
from modelrollout.api.resource import ModelRollout, parse
from modelrollout.core.observed import Route
from modelrollout.core.split import Split
from modelrollout.ports import ConflictError, TerminalError, TransientError
from tests.support.rollouts import document

ALL, HALF = Split({"a": 100}), Split({"a": 50, "b": 50})
TAKEN = Route(HALF, current=True, accepted=True)


@dataclass
class Memo:
    """A router without an API server: it holds what it is told, or fails as it is told."""

    route: Route | None = None
    fails: Exception | None = None
    refuses: str = ""
    learnt: list[str] = field(default_factory=list)

    async def learn(self, rollout: ModelRollout) -> None:
        self.learnt.append(rollout.metadata.name)

    def check(self, rollout: ModelRollout) -> None:  # noqa: ARG002
        if self.refuses:
            raise TerminalError(self.refuses)

    async def set(self, rollout: ModelRollout, split: Split, latch: str | None) -> None:  # noqa: ARG002
        if self.fails is not None:
            raise self.fails
        self.route = Route(split, current=True, accepted=True, latch=latch)

    def read(self, rollout: ModelRollout) -> Route | None:  # noqa: ARG002
        return self.route


@pytest.fixture
def rollout() -> ModelRollout:
    return parse(document("shop"))


@pytest.fixture
def ingress() -> Memo:
    return Memo()


@pytest.fixture
def mesh() -> Memo:
    return Memo()


@pytest.fixture
def several(ingress: Memo, mesh: Memo) -> Several:
    return Several({"gatewayAPI": ingress, "istio": mesh})


async def test_all_get_the_same(several: Several, ingress: Memo, mesh: Memo, rollout: ModelRollout) -> None:
    assert several.read(rollout) is None
    await several.set(rollout, HALF, "7")
    assert ingress.route == mesh.route == several.read(rollout) == replace(TAKEN, latch="7")
    await several.learn(rollout)
    assert ingress.learnt == mesh.learnt == ["fraud"]


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (TAKEN, TAKEN),
        (None, None),
        (replace(TAKEN, split=ALL), replace(TAKEN, current=False, accepted=False)),
        (replace(TAKEN, current=False), replace(TAKEN, current=False)),
        (replace(TAKEN, accepted=False), replace(TAKEN, accepted=False)),
        (replace(TAKEN, latch="7"), replace(TAKEN, latch="7")),
        (replace(TAKEN, kept=frozenset("c")), replace(TAKEN, kept=frozenset("c"))),
        (replace(TAKEN, problem="no host"), replace(TAKEN, problem="router istio: no host")),
    ],
)
def test_what_they_say_together(
    several: Several, ingress: Memo, mesh: Memo, rollout: ModelRollout, other: Route | None, expected: Route | None
) -> None:
    ingress.route, mesh.route = TAKEN, other
    assert several.read(rollout) == expected


async def test_the_way_forward_stops_at_the_first_that_fails(
    several: Several, ingress: Memo, mesh: Memo, rollout: ModelRollout
) -> None:
    ingress.fails = ConflictError("changed")
    with pytest.raises(ConflictError, match="changed"):
        await several.set(rollout, HALF, None)
    assert mesh.route is None


async def test_a_rollback_reaches_every_router_that_can_be_reached(
    several: Several, ingress: Memo, mesh: Memo, rollout: ModelRollout
) -> None:
    ingress.fails = TerminalError("not ours")
    with pytest.raises(TerminalError, match="not ours"):
        await several.set(rollout, ALL, "7")
    assert mesh.route is not None
    assert mesh.route.split == ALL

    mesh.fails = TransientError("no answer")
    with pytest.raises(TransientError, match="not ours; no answer"):
        await several.set(rollout, ALL, "7")


def test_all_refusals_are_told_at_once(several: Several, ingress: Memo, mesh: Memo, rollout: ModelRollout) -> None:
    several.check(rollout)
    mesh.refuses = "router istio cannot"
    with pytest.raises(TerminalError, match=r"^router istio cannot$"):
        several.check(rollout)
    ingress.refuses = "router gatewayAPI cannot"
    with pytest.raises(TerminalError, match="router gatewayAPI cannot; router istio cannot"):
        several.check(rollout)
