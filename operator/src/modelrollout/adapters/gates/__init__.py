"""Gates: one file for each kind of check."""

from collections.abc import Callable

from modelrollout.adapters.kubernetes.client import Api
from modelrollout.api.resource import ModelRollout
from modelrollout.core.actions import OpenGate
from modelrollout.core.observed import GateResult
from modelrollout.ports import Key, TerminalError


class GateKeeper:
    """Carries out the checks of gates; implements ports.Gates."""

    def __init__(self, api: Api, on_change: Callable[[Key], None]) -> None:
        self._api = api
        self._on_change = on_change
        self._results: dict[Key, GateResult] = {}

    def result(self, key: Key) -> GateResult | None:
        """Return how far the check is that was opened last; see ports.Gates."""
        return self._results.get(key)

    async def open(self, rollout: ModelRollout, gate: OpenGate) -> None:
        """Begin a check."""
        where = f"ModelRollout {rollout.metadata.namespace}/{rollout.metadata.name}"
        raise TerminalError(f"{where}: gate {gate.gate.title}: no gate of kind {gate.gate.kind} is installed")

    async def close(self, rollout: ModelRollout, ident: str) -> None:  # noqa: ARG002
        """Stop a check."""
        self._results.pop(Key(rollout.metadata.namespace, rollout.metadata.name), None)

    def forget(self, key: Key) -> None:
        """Forget a rollout that is gone."""
        self._results.pop(key, None)
