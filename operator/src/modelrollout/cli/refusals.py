"""What the operator would refuse in a rollout that the API server takes, as far as that is known without a cluster."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from modelrollout.adapters.kubernetes.objects import target_port
from modelrollout.adapters.prometheus.custom import Query, QueryTextError
from modelrollout.adapters.routers import BUILT_IN
from modelrollout.api.resource import ModelRollout
from modelrollout.cli.strategy_advice import Advice, Place
from modelrollout.ports import TerminalError

_FIELD: Final = re.compile(
    r"ModelRollout [^ ]+: (?P<field>[A-Za-z]+(?:\.[A-Za-z]+|\[[0-9]+\])*):? *(?P<words>.*)", re.DOTALL
)
_PART: Final = re.compile(r"([A-Za-z]+)|\[([0-9]+)\]")
_NO_CLUSTER: Final[Any] = None
"""A router's `check` looks at the rollout, and at what `learn` read in the cluster: nothing here."""


def refusals(rollout: ModelRollout) -> Advice:
    """Yield field and words for each refusal; what only a cluster can tell (its gateways, its rights) is not known."""
    yield from _told(partial(target_port, rollout, rollout.spec.template))
    for name in rollout.spec.traffic.routers:
        if name in BUILT_IN:
            router = BUILT_IN[name](_NO_CLUSTER, _NO_CLUSTER)
            yield from _told(partial(router.check, rollout))
    for index, metric in enumerate(rollout.spec.analysis.metrics):
        if metric.query is not None:
            try:
                Query(metric.name, metric.query)
            except QueryTextError as error:
                words = str(error).partition(": ")[2]
                yield ("spec", "analysis", "metrics", index, "query"), words


def _told(check: Callable[[], object]) -> Advice:
    try:
        check()
    except TerminalError as error:
        found = _FIELD.fullmatch(str(error))
        yield (_place(found["field"]), found["words"]) if found else ((), str(error))


def _place(field: str) -> Place:
    return tuple(int(index) if index else name for name, index in _PART.findall(field))
