"""What `lab status` tells."""

import json
import time
from dataclasses import asdict, dataclass
from typing import Any

from lab import network
from lab.node import Node
from lab.parts import ENVOY, KUBERNETES, TRAEFIK
from lab.parts import ENVOY_GATEWAY as ENVOY_GATEWAY_VERSION
from lab.paths import API_SERVER, ENVOY_GATEWAY, GATEWAY, PROMETHEUS, Paths


@dataclass(frozen=True)
class PartStatus:
    """One of the node's programs; `age` in seconds, None if it does not run."""

    name: str
    pid: int | None
    age: float | None
    log: str


def collect(paths: Paths, node: Node) -> dict[str, Any]:
    """Return all facts: parts, whether the cluster answers, and where things are."""
    parts = []
    for daemon in node.daemons.values():
        process = daemon.find()
        pid, age = (process.pid, round(process.age, 1)) if process else (None, None)
        parts.append(asdict(PartStatus(daemon.name, pid, age, str(daemon.log))))
    answers = node.api.ready()
    booted = paths.state / "booted"
    return {
        "running": answers and all(part["pid"] for part in parts),
        "ready": answers and node.api.node_ready(),
        "network": network.is_up(),
        "age": round(time.time() - booted.stat().st_mtime, 1) if booted.exists() else None,
        "kubeconfig": str(paths.kubeconfig),
        "server": API_SERVER,
        "auditLog": str(paths.audit_log),
        "gateway": GATEWAY,
        "envoyGateway": ENVOY_GATEWAY,
        "prometheus": PROMETHEUS,
        "kubernetes": KUBERNETES,
        "versions": {
            "traefik": TRAEFIK.partition("==")[2],
            "envoy": ENVOY.partition("==")[2],
            "envoyGateway": ENVOY_GATEWAY_VERSION.removeprefix("v"),
        },
        "parts": parts,
    }


def duration(seconds: float | None) -> str:
    """Return seconds as a person writes them, such as 3h12m."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def render(facts: dict[str, Any], *, as_json: bool) -> str:
    """Return the facts as text for a person, or as JSON."""
    if as_json:
        return json.dumps(facts, indent=2)
    lines = [f"{'PART':<26}{'PID':>8}  {'AGE':>8}"]
    lines += [f"{part['name']:<26}{part['pid'] or 'down':>8}  {duration(part['age']):>8}" for part in facts["parts"]]
    state = "ready" if facts["ready"] else "running, node not Ready" if facts["running"] else "not running"
    lines += ["", f"cluster       {state}, Kubernetes {facts['kubernetes']}, age {duration(facts['age'])}"]
    for name in ("kubeconfig", "server", "gateway", "envoyGateway", "prometheus", "auditLog"):
        lines.append(f"{name:<14}{facts[name]}")
    return "\n".join(lines)
