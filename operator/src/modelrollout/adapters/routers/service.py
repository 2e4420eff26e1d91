"""Traffic by the number of pods behind one Service: no gateway at all.

The Service selects one revision's pods while that serves alone, and all pods of the rollout while two revisions serve;
how many of each there are is core.capacity's business, and makes the weight. Either way it is a single write. What it
stands for is written down in an annotation, since a selector cannot tell weights.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelrollout.adapters.kubernetes import objects
from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.listening import port_of
from modelrollout.adapters.kubernetes.owned import Owned
from modelrollout.adapters.kubernetes.preview import preview_name
from modelrollout.adapters.kubernetes.resources import PODS, SERVICES, Resource
from modelrollout.adapters.routers.owning import Object, annotation, head, latch_of, same
from modelrollout.adapters.routers.refusing import STICKY, asked, preview_hostnames, refusal, steps
from modelrollout.api.base import GROUP, NAME_LABEL, REVISION_LABEL
from modelrollout.api.resource import ModelRollout
from modelrollout.api.traffic import PlainService
from modelrollout.core.capacity import NEAR, Pods, made_of, pods_for, weight_of
from modelrollout.core.observed import Route
from modelrollout.core.revision import object_name
from modelrollout.core.split import COMPARER, Split
from modelrollout.ports import TransientError

NAME: Final = "service"
SPLIT_ANNOTATION: Final = f"{GROUP}/split"
_ENDED: Final = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Told:
    """What the annotation of a Service says."""

    weights: Mapping[str, int]
    port: int | str
    """Where requests go in a pod."""
    asked: int | str | None = None
    """`spec.traffic.port` at that time."""


class ServiceRouter:
    """Writes and reads the Service that clients call."""

    resources: tuple[Resource, ...] = (SERVICES,)

    def __init__(self, api: Api, routes: Routes) -> None:
        self._api = api
        self._owned = Owned(api, routes)

    async def learn(self, rollout: ModelRollout) -> None:
        """Nothing that `check` needs is in the cluster."""

    def check(self, rollout: ModelRollout) -> None:
        """Refuse what pods alone cannot do: mirror, match, stick, or make up a weight with too few of them."""
        meta, strategy = rollout.metadata, rollout.spec.strategy
        if service_name(rollout) in (preview_name(meta.name), object_name(meta.name, COMPARER)):
            why = "cannot take a name that another Service of the rollout has"
            raise refusal(rollout, NAME, "spec.traffic.service.name", why, "give another name")
        if preview_hostnames(rollout) and len(rollout.spec.traffic.routers) == 1:
            why = "knows no host names"
            remedy = (
                "remove hostnames (the preview's own Service stays), or add a gateway (spec.traffic.gatewayAPI, ...)"
            )
            raise refusal(rollout, NAME, "spec.traffic.preview.hostnames", why, remedy)
        if strategy.sticky is not None:
            remedy = "remove sticky, or split with a gateway (spec.traffic.gatewayAPI, istio or traefik)"
            raise refusal(rollout, NAME, STICKY, "cannot look at requests, and knows no clients", remedy)
        for kind, cannot in (("shadow", "cannot mirror requests"), ("match", "cannot look at requests")):
            for place, _ in steps(rollout, kind):
                remedy = "remove the step, or split with a gateway (spec.traffic.gatewayAPI, istio or traefik)"
                raise refusal(rollout, NAME, place, cannot, remedy)
        for place, step in steps(rollout, "weight"):
            _check_weight(rollout, place, step.weight or 0)

    async def set(self, rollout: ModelRollout, split: Split, latch: str | None) -> None:
        """Write the Service; TerminalError where one of that name is somebody else's.

        TransientError while pods of any other revision would be selected too.
        """
        serving = _serving(split.weights)
        if len(serving) > 1:
            await self._check_alone(rollout, serving)
        port = await self._port(rollout, serving)
        told = Told(split.weights, port, rollout.spec.traffic.port)
        await self._owned.write(SERVICES, rollout, plain_service(rollout, told, latch))

    def read(self, rollout: ModelRollout) -> Route | None:
        """Interpret the Service; nobody has to accept it, so it counts as accepted once it is as written."""
        raw = self._owned.find(SERVICES, rollout, service_name(rollout))
        if raw is None:
            return None
        spec, told = raw.get("spec") or {}, _told(annotation(raw, SPLIT_ANNOTATION))
        # Where requests go is the revisions' own business, but for what the spec asks of it.
        current = (
            told is not None
            and told.asked == rollout.spec.traffic.port
            and _is(spec, plain_service(rollout, told, None)["spec"])
        )
        selected = (spec.get("selector") or {}).get(REVISION_LABEL)
        weights = told.weights if told is not None else {}
        if not current and selected is not None:
            weights = {str(selected): 100}
        return Route(split=Split(weights), current=current, accepted=current, latch=latch_of(raw))

    async def _check_alone(self, rollout: ModelRollout, serving: list[str]) -> None:
        meta = rollout.metadata
        others = f"{NAME_LABEL}={meta.name},{REVISION_LABEL} notin ({','.join(serving)})"
        page = await self._api.list(PODS, meta.namespace, {"labelSelector": others})
        for pod in page.get("items") or []:
            if "deletionTimestamp" in pod["metadata"] or (pod.get("status") or {}).get("phase") in _ENDED:
                continue
            raise TransientError(
                f"Service {meta.namespace}/{service_name(rollout)}: it would also select pod {pod['metadata']['name']},"
                f" which is of neither {' nor '.join(serving)}; waiting until it is gone"
            )

    async def _port(self, rollout: ModelRollout, serving: list[str]) -> int | str:
        """Return where requests go in the pods of these revisions; TerminalError where that is not one port."""
        found = {revision: await port_of(self._api, rollout, revision) for revision in serving}
        ports = list(dict.fromkeys(found.values()))
        if len(ports) > 1:
            words = ", ".join(f"{revision} on {port}" for revision, port in found.items())
            why = f"has one port for all pods, but revisions listen on different ones ({words})"
            remedy = "name the container port http in every template, or keep its number"
            raise refusal(rollout, NAME, "spec.traffic.service", why, remedy)
        return ports[0] if ports else objects.target_port(rollout, rollout.spec.template)


def service_name(rollout: ModelRollout) -> str:
    """Return the name of the Service that clients call."""
    return _settings(rollout).name or rollout.metadata.name


def plain_service(rollout: ModelRollout, told: Told, latch: str | None) -> Object:
    """Return the apply body of the Service."""
    body, serving = head(SERVICES, rollout, service_name(rollout), latch), _serving(told.weights)
    selector = {NAME_LABEL: rollout.metadata.name}
    if len(serving) == 1:
        selector[REVISION_LABEL] = serving[0]
    meaning = {"weights": dict(told.weights), "port": told.port}
    if told.asked is not None:
        meaning["asked"] = told.asked
    body["metadata"].setdefault("annotations", {})[SPLIT_ANNOTATION] = json.dumps(meaning, separators=(",", ":"))
    port = {"name": "http", "port": _settings(rollout).port, "protocol": "TCP", "targetPort": told.port}
    return {**body, "spec": {"selector": selector, "ports": [port]}}


def _settings(rollout: ModelRollout) -> PlainService:
    return asked(rollout, NAME, rollout.spec.traffic.service)


def _serving(weights: Mapping[str, int]) -> list[str]:
    return [revision for revision, weight in weights.items() if weight > 0]


def _told(note: str | None) -> Told | None:
    """Read the annotation; None for one that is absent or nonsense."""
    try:
        meaning = json.loads(note or "")
        weights = {str(revision): int(weight) for revision, weight in meaning["weights"].items()}
        port, asked = meaning["port"], meaning.get("asked")
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    usable = isinstance(port, int | str) and isinstance(asked, int | str | None)
    return Told(weights, port, asked) if usable else None


def _is(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Say whether a Service is as it is wanted; its owner may give it more ports, another type, addresses and so on."""
    if not same(found.get("selector"), wanted["selector"]):
        return False
    port = wanted["ports"][0]
    ports = ({name: one.get(name) for name in port} for one in found.get("ports") or [])
    return any(same(one, port) for one in ports)


def _check_weight(rollout: ModelRollout, place: str, weight: int) -> None:
    replicas = rollout.spec.replicas
    if replicas == 0 or not 0 < weight < 100:
        return
    pods = pods_for(rollout.spec, weight)
    if not pods.candidate or abs(weight_of(pods) - weight) <= NEAR:
        # Without any pod for a candidate the rollout says so itself, with what helps.
        return
    nearest = made_of(rollout.spec, weight)
    why = f"cannot make up {weight}% of whole pods: with replicas: {replicas} the nearest is {nearest}"
    remedy = f"write weight: {weight_of(pods)}" + (
        f", or raise spec.replicas to {enough}" if (enough := _enough(rollout, weight)) else ""
    )
    raise refusal(rollout, NAME, place, why, remedy)


def _enough(rollout: ModelRollout, weight: int) -> int | None:
    """Return the least number of replicas beyond the present that can make up a weight, among a hundred."""
    for replicas in range(rollout.spec.replicas + 1, rollout.spec.replicas + 101):
        pods: Pods = pods_for(rollout.spec.model_copy(update={"replicas": replicas}), weight)
        if abs(weight_of(pods) - weight) <= NEAR:
            return replicas
    return None
