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
EVENTS: Final = Resource("v1", "Event", "events")
CONFIG_MAPS: Final = Resource("v1", "ConfigMap", "configmaps")
SECRETS: Final = Resource("v1", "Secret", "secrets")
JOBS: Final = Resource("batch/v1", "Job", "jobs")
ENDPOINT_SLICES: Final = Resource("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
HTTP_ROUTES: Final = Resource(
    "gateway.networking.k8s.io/v1",
    "HTTPRoute",
    "httproutes",
    "install the Gateway API CRDs, version 1.4 or later, and a gateway that implements them",
)
