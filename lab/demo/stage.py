"""Where the demo is played: in the lab, or in a cluster that the user has."""

from dataclasses import dataclass, field

from lab.demo.kubectl import Kubectl
from lab.errors import LabError
from lab.parts import Parts
from lab.paths import Paths


@dataclass(frozen=True)
class Stage:
    """A cluster with a gateway, a Prometheus and the operator in it."""

    kubectl: Kubectl
    gateway: tuple[str, str]
    """Namespace and name."""
    url: str
    """The gateway's address inside the cluster."""
    model_server: str
    load: str
    """The two are images."""
    made: list[str] = field(default_factory=list)
    """What was installed for the demo, in words."""


def lab_stage(paths: Paths) -> Stage:
    """Return the lab, which is up."""
    kubectl = Kubectl(Parts(paths).bin("kube") / "kubectl", {"KUBECONFIG": str(paths.kubeconfig)})
    if not operators(kubectl):
        raise LabError("the lab runs no operator: this checkout has no operator/Dockerfile or chart to install")
    url = gateway_url(kubectl, "gateway", "public")
    return Stage(kubectl, ("gateway", "public"), url, "modelrollout/model-server:dev", "modelrollout/load:dev")


def operators(kubectl: Kubectl) -> list[str]:
    """Return the operators in the cluster, as namespace/name of their Deployments."""
    found = kubectl.items("deployments", "--all-namespaces", "-l", "app.kubernetes.io/name=modelrollout")
    return [f"{item['metadata']['namespace']}/{item['metadata']['name']}" for item in found]


def gateway_url(kubectl: Kubectl, namespace: str, name: str) -> str:
    """Return where the Gateway says that it answers.

    Raise LabError if it says nothing.
    """
    gateway = kubectl.json("get", "gateways.gateway.networking.k8s.io", name, "-n", namespace)
    addresses = gateway.get("status", {}).get("addresses") or []
    if not addresses:
        raise LabError(f"Gateway {namespace}/{name} has no address in its status; name its URL with --gateway-url")
    return f"http://{addresses[0]['value']}"
