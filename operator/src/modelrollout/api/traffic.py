"""How requests reach the revisions, as a user writes it under `spec.traffic`: one field for each router."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from modelrollout.api.base import ApiModel
from modelrollout.api.patterns import DNS_LABEL, DNS_NAME, HOST_NAME, PATH

HostName = Annotated[str, Field(min_length=1, max_length=253, pattern=HOST_NAME)]
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_NAME)]

ROUTERS = ("gatewayAPI", "istio", "traefik", "service", "plugin")
"""Ways to split requests, as their fields are spelled."""


class ParentRef(ApiModel):
    """A Gateway, or one listener of it, that the route attaches to."""

    name: str = Field(min_length=1, max_length=253, pattern=DNS_NAME, description="Name of the Gateway.")
    namespace: str | None = Field(
        None, max_length=63, pattern=DNS_LABEL, description="Its namespace; the rollout's own when left out."
    )
    section_name: str | None = Field(
        None, max_length=253, pattern=DNS_NAME, description="One listener of the Gateway; all when left out."
    )
    port: int | None = Field(None, ge=1, le=65535, description="Only listeners on this port.")


class RuleRef(ApiModel):
    """One named rule of a route that somebody else owns."""

    name: ObjectName = Field(description="Name of the route, in the rollout's namespace.")
    rule: str = Field(
        min_length=1, max_length=253, pattern=DNS_NAME, description="Name of the rule; only its backends are ours."
    )


class GatewayAPI(ApiModel):
    """Traffic over a Gateway API route: our own, of the rollout's name, or one rule of somebody else's."""

    kind: Literal["HTTPRoute", "GRPCRoute"] = Field("HTTPRoute", description="HTTPRoute or GRPCRoute.")
    parent_refs: list[ParentRef] = Field(
        [], max_length=8, description="Gateways that our own route attaches to; needed unless route is given."
    )
    hostnames: list[HostName] = Field(
        [], max_length=16, description="Host names that our own route answers to; all when left out."
    )
    path_prefix: str = Field("/", max_length=256, pattern=PATH, description="Only requests below this path.")
    route: RuleRef | None = Field(
        None, description="Instead of a route of our own: one rule of a route that somebody else owns."
    )

    @field_validator("hostnames")
    @classmethod
    def _once(cls, hostnames: list[str]) -> list[str]:
        if len(set(hostnames)) != len(hostnames):
            raise ValueError("each host name may stand once")
        return hostnames

    @field_validator("path_prefix")
    @classmethod
    def _single_slashes(cls, path: str) -> str:
        if "//" in path:
            raise ValueError("pathPrefix must not contain '//'; write one slash")
        return path

    @model_validator(mode="after")
    def _own_or_adopted(self) -> "GatewayAPI":
        if (self.route is None) == (not self.parent_refs):
            raise ValueError("give parentRefs for a route of our own, or route for a rule of somebody else's; not both")
        if self.route is not None and (self.hostnames or self.path_prefix != "/"):
            raise ValueError("hostnames and pathPrefix belong to a route of our own; with route its owner decides them")
        if self.kind == "GRPCRoute" and self.path_prefix != "/":
            raise ValueError("a GRPCRoute takes no pathPrefix; remove it")
        return self


class Istio(ApiModel):
    """Traffic over an Istio VirtualService: our own, of the rollout's name, or one named route of somebody else's."""

    hosts: list[HostName] = Field(
        [], max_length=16, description="Hosts of our own VirtualService; needed unless virtualService is given."
    )
    gateways: list[Annotated[str, Field(min_length=1, max_length=317)]] = Field(
        ["mesh"], max_length=8, description="Gateways that it applies to; mesh is the sidecars of the clients."
    )
    traffic_policy: dict[str, Any] | None = Field(
        None, description="trafficPolicy of the DestinationRule of each revision, as Istio takes it."
    )
    virtual_service: RuleRef | None = Field(
        None, description="Instead of our own: one named HTTP route of a VirtualService that somebody else owns."
    )

    @model_validator(mode="after")
    def _own_or_adopted(self) -> "Istio":
        if (self.virtual_service is None) == (not self.hosts):
            raise ValueError("give hosts for a VirtualService of our own, or virtualService for one route of another's")
        return self


class Traefik(ApiModel):
    """Traffic over a TraefikService of the rollout's name; with `match` also over an IngressRoute of our own."""

    match: str | None = Field(
        None,
        min_length=1,
        max_length=1000,
        description="Rule of an IngressRoute of our own, as Host(`a.example`); left out: yours names the service.",
    )
    entry_points: list[Annotated[str, Field(min_length=1, max_length=63)]] = Field(
        [], max_length=8, description="Entry points of that IngressRoute; Traefik's default ones when left out."
    )

    @model_validator(mode="after")
    def _fits(self) -> "Traefik":
        if self.entry_points and self.match is None:
            raise ValueError("entryPoints belong to the IngressRoute that match asks for; add match or remove them")
        return self


class PlainService(ApiModel):
    """Traffic by the number of pods behind one Service: no gateway at all."""

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_LABEL)] | None = Field(
        None, description="Name of the Service; the rollout's own when left out."
    )
    port: int = Field(80, ge=1, le=65535, description="Its port.")


class Plugin(ApiModel):
    """A router that another package brings; see docs/routers/plugins.md."""

    name: str = Field(min_length=1, max_length=63, pattern=DNS_LABEL, description="Name of its entry point.")
    settings: dict[str, Any] = Field({}, description="What that router takes.")


class Preview(ApiModel):
    """A way to the candidate before it takes any traffic."""

    hostnames: list[HostName] = Field(
        [], max_length=16, description="Host names of a preview route; left out: only the Service <name>-preview."
    )


class Traffic(ApiModel):
    """How requests reach the revisions; several routers at once all get the same split."""

    port: int | str | None = Field(
        None, description="Container port, by number or name. Left out: the port named http, else the first one."
    )
    gateway_api: GatewayAPI | None = Field(
        None, alias="gatewayAPI", description="Split requests with a Gateway API HTTPRoute or GRPCRoute."
    )
    istio: Istio | None = Field(None, description="Split requests with an Istio VirtualService.")
    traefik: Traefik | None = Field(None, description="Split requests with a TraefikService.")
    service: PlainService | None = Field(None, description="Split connections by the number of pods, without gateway.")
    plugin: Plugin | None = Field(None, description="Split requests with a router of another package.")
    preview: Preview | None = Field(None, description="Reach the candidate before it takes traffic.")

    @field_validator("port")
    @classmethod
    def _number_or_name(cls, port: int | str | None) -> int | str | None:
        named = isinstance(port, str) and len(port) <= 15 and re.fullmatch(DNS_LABEL, port)
        if port is not None and not named and not (isinstance(port, int) and 1 <= port <= 65535):
            raise ValueError("must be a number from 1 to 65535, or the name of a port in at most 15 characters")
        return port

    @model_validator(mode="after")
    def _some_router(self) -> "Traffic":
        if not self.routers:
            raise ValueError(f"name at least one router: {', '.join(ROUTERS)}")
        return self

    @property
    def routers(self) -> tuple[str, ...]:
        """The routers that are asked for, as their fields are spelled; a plugin by its own name."""
        given = (self.gateway_api, self.istio, self.traefik, self.service, self.plugin)
        names = [name for name, router in zip(ROUTERS, given, strict=True) if router is not None]
        return tuple(self.plugin.name if self.plugin and name == "plugin" else name for name in names)
