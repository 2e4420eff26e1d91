"""Several routers of one rollout, as one: all get the same split."""

from collections.abc import Iterator, Mapping

from modelrollout.api.resource import ModelRollout
from modelrollout.core.observed import Route
from modelrollout.core.split import Split
from modelrollout.ports import TerminalError, TrafficRouter, TransientError


class Several:
    """Routers by name, in the order in which they are written."""

    def __init__(self, routers: Mapping[str, TrafficRouter]) -> None:
        self._routers = routers

    async def learn(self, rollout: ModelRollout) -> None:
        """Let each learn what it has to know."""
        for router in self._routers.values():
            await router.learn(rollout)

    def check(self, rollout: ModelRollout) -> None:
        """Refuse what one of them cannot do; the TerminalError tells of all."""
        _raise(self._refusals(rollout))

    def _refusals(self, rollout: ModelRollout) -> Iterator[TerminalError]:
        for router in self._routers.values():
            try:
                router.check(rollout)
            except TerminalError as error:
                yield error

    async def set(self, rollout: ModelRollout, split: Split, latch: str | None) -> None:
        """Write all. The way forward stops at the first that fails, a rollback goes on and then tells of all."""
        errors: list[TerminalError | TransientError] = []
        for router in self._routers.values():
            try:
                await router.set(rollout, split, latch)
            except (TerminalError, TransientError) as error:
                errors.append(error)
                if latch is None:
                    break
        _raise(errors)

    def read(self, rollout: ModelRollout) -> Route | None:
        """Return what the first says, current and accepted only where all agree; None while one has no route."""
        routes = {name: router.read(rollout) for name, router in self._routers.items()}
        found = {name: route for name, route in routes.items() if route is not None}
        if len(found) < len(routes):
            return None
        first = next(iter(found.values()))
        agree = all(route.split == first.split for route in found.values())
        problems = [f"router {name}: {route.problem}" for name, route in found.items() if route.problem]
        return Route(
            split=first.split,
            current=agree and all(route.current for route in found.values()),
            accepted=agree and all(route.accepted for route in found.values()),
            latch=next((route.latch for route in found.values() if route.latch is not None), None),
            problem="; ".join(problems) or None,
            kept=frozenset(revision for route in found.values() for revision in route.kept),
        )


def _raise(errors: "Iterator[TerminalError] | list[TerminalError | TransientError]") -> None:
    """Raise what went wrong as one error: what may go away by itself is tried again before a person is asked."""
    found = list(errors)
    if not found:
        return
    if len(found) == 1:
        raise found[0]
    text = "; ".join(str(error) for error in found)
    raise TransientError(text) if any(isinstance(error, TransientError) for error in found) else TerminalError(text)
