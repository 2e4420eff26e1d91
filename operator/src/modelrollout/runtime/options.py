"""What the operator is started with."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from modelrollout.core.settings import Settings

DEFAULT_ROUTERS: Final = ("gatewayAPI", "service")


@dataclass(frozen=True, slots=True)
class Options:
    """The operator's command line, read and checked."""

    settings: Settings
    namespaces: tuple[str, ...] = ()
    """Namespaces to serve; none: all of them."""
    leader_elect: bool = True
    lease_namespace: str = "default"
    kubeconfig: str | None = None
    """None: the pod's service account, else $KUBECONFIG or ~/.kube/config."""
    track_config: bool = False
    """Watch ConfigMaps and Secrets for rollouts that ask for it."""
    routers: tuple[str, ...] = DEFAULT_ROUTERS
    """Routers that rollouts may use; each costs a watch, and rights to write its objects."""
    comparer_image: str | None = None
    """Image that comparers are run from. None: the operator's own, as its pod says."""
    pull_secrets: tuple[str, ...] = ()
    """Secrets in a rollout's namespace that comparers pull it with."""
    gate_allow: tuple[str, ...] = ()
    """Hooks that webhook gates may ask, and paths below them; none: all but those that only the operator reaches."""
    notify_url: str | None = field(default=None, repr=False)
    """Where moves are told, outside of the cluster; often a secret."""
    notify_token_file: Path | None = None
    workers: int = 8
    host: str = "0.0.0.0"  # noqa: S104
    port: int = 8081
    drain: timedelta = timedelta(seconds=10)
    """Longest time that running reconciles get to end after SIGTERM."""
