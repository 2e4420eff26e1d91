"""The cluster's network: a namespace of its own and a veth pair that lets the host in."""

import json
import subprocess

from lab.paths import HOST_IP, NAMESPACE, NODE_IP, POD_NET, SERVICE_NET
from lab.progress import Step

HOST_LINK = "mr-lab"
NODE_LINK = "eth0"


def inside(*command: str) -> list[str]:
    """Return a command that runs `command` in the cluster's network namespace."""
    return ["nsenter", f"--net=/run/netns/{NAMESPACE}", *command]


def routes() -> list[str]:
    """Return the destinations of the host's IPv4 routes, the lab's own apart."""
    listed = json.loads(_output(["ip", "-json", "-4", "route", "show"]) or "[]")
    return [route["dst"] for route in listed if route.get("dev") != HOST_LINK]


def is_up() -> bool:
    """Tell whether the namespace and both ends of the link are in place."""
    host = _output(["ip", "-json", "addr", "show", "dev", HOST_LINK])
    node = _output(inside("ip", "-json", "addr", "show", "dev", NODE_LINK))
    routed = _output(["ip", "route", "show", SERVICE_NET])
    return HOST_IP in host and NODE_IP in node and HOST_LINK in routed


def create(step: Step) -> None:
    """Create the namespace, the link, and the host's routes to pods and services."""
    step.run(["ip", "netns", "add", NAMESPACE])
    step.run(["ip", "link", "add", HOST_LINK, "type", "veth", "peer", "name", NODE_LINK, "netns", NAMESPACE])
    step.run(["ip", "addr", "add", f"{HOST_IP}/24", "dev", HOST_LINK])
    step.run(["ip", "link", "set", HOST_LINK, "up"])
    step.run(inside("ip", "link", "set", "lo", "up"))
    step.run(inside("ip", "addr", "add", f"{NODE_IP}/24", "dev", NODE_LINK))
    step.run(inside("ip", "link", "set", NODE_LINK, "up"))
    step.run(inside("ip", "route", "add", "default", "via", HOST_IP))
    step.run(inside("sysctl", "-q", "-w", "net.ipv4.ip_forward=1"))
    for net in (POD_NET, SERVICE_NET):
        step.run(["ip", "route", "add", net, "via", NODE_IP])


def remove() -> None:
    """Remove all of it; what is not there is no error.

    The namespace's own rules and links end with it, its link takes the host's routes along.
    """
    _output(["ip", "link", "del", HOST_LINK])
    _output(["ip", "netns", "del", NAMESPACE])


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:  # no iproute2 yet, so none of this exists
        return ""
