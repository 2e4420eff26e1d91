"""The kinds of objects that we speak of to the API server, and where they live."""

from dataclasses import dataclass
from typing import Final

from modelrollout.api.base import API_VERSION, KIND, PLURAL


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind, in one version."""

    api: str
    """`v1` or `group/version`."""
    kind: str
    plural: str
    remedy: str = ""
    """What to do where the API server does not serve this kind."""

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the path of an object, or of a collection; without a namespace that of all namespaces."""
        parts = ["/apis" if "/" in self.api else "/api", self.api]
        if namespace is not None:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part is not None]
        return "/".join(parts)


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked of the API server: a verb on an object or, without a name, on a collection."""

    verb: str
    resource: Resource
    namespace: str | None = None
    name: str | None = None

    def __str__(self) -> str:
        if self.name is not None:
            return f"{self.resource.kind} {f'{self.namespace}/' if self.namespace else ''}{self.name}"
        place = "all namespaces" if self.namespace is None else f"namespace {self.namespace}"
        return f"{self.resource.plural} of {place}"


ROLLOUTS: Final = Resource(
    API_VERSION, KIND, PLURAL, "install the custom resource definition of ModelRollout (manifests/crd)"
)
DEPLOYMENTS: Final = Resource("apps/v1", "Deployment", "deployments")
SERVICES: Final = Resource("v1", "Service", "services")
PODS: Final = Resource("v1", "Pod", "pods")
BUDGETS: Final = Resource("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
EVENTS: Final = Resource("v1", "Event", "events")
CONFIG_MAPS: Final = Resource("v1", "ConfigMap", "configmaps")
SECRETS: Final = Resource("v1", "Secret", "secrets")
JOBS: Final = Resource("batch/v1", "Job", "jobs")
ENDPOINT_SLICES: Final = Resource("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
_GATEWAY_API: Final = "gateway.networking.k8s.io/v1"
_NO_GATEWAY_API: Final = "install the Gateway API CRDs, version 1.4 or later, and a gateway that implements them"
HTTP_ROUTES: Final = Resource(_GATEWAY_API, "HTTPRoute", "httproutes", _NO_GATEWAY_API)
GRPC_ROUTES: Final = Resource(_GATEWAY_API, "GRPCRoute", "grpcroutes", _NO_GATEWAY_API)
GATEWAYS: Final = Resource(_GATEWAY_API, "Gateway", "gateways", _NO_GATEWAY_API)
GATEWAY_CLASSES: Final = Resource(_GATEWAY_API, "GatewayClass", "gatewayclasses", _NO_GATEWAY_API)
_ISTIO: Final = "networking.istio.io/v1"
_NO_ISTIO: Final = "install Istio, version 1.22 or later"
VIRTUAL_SERVICES: Final = Resource(_ISTIO, "VirtualService", "virtualservices", _NO_ISTIO)
DESTINATION_RULES: Final = Resource(_ISTIO, "DestinationRule", "destinationrules", _NO_ISTIO)
_TRAEFIK: Final = "traefik.io/v1alpha1"
_NO_TRAEFIK: Final = "install the resource definitions of Traefik, version 3 or later"
TRAEFIK_SERVICES: Final = Resource(_TRAEFIK, "TraefikService", "traefikservices", _NO_TRAEFIK)
INGRESS_ROUTES: Final = Resource(_TRAEFIK, "IngressRoute", "ingressroutes", _NO_TRAEFIK)
