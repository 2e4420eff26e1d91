"""The operator's own Prometheus, and others that rollouts may name if the operator allows it.

Credentials go to the origin (scheme, host and port) that they were given for, and to no other.
"""

import re
import threading
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

from modelrollout.adapters.prometheus.access import Access
from modelrollout.adapters.prometheus.client import PrometheusClient

MOST_OTHERS: Final = 64
"""Others that connections are kept to; allowed paths may have any number of paths below them."""
_PORTS: Final = {"http": 80, "https": 443}
_PATH: Final = re.compile(r"(?:/[-A-Za-z0-9._~]+)*/?")

Origin = tuple[str, str, int]


class NotAllowed(ValueError):
    """A Prometheus that a rollout may not name; the text says which field and which option."""


class Servers:
    """Clients by URL. Raises ValueError for a URL that is none."""

    def __init__(
        self, url: str, *, timeout: float, access: Access, allow: Sequence[str], count: Callable[[str], None]
    ) -> None:
        self._own = PrometheusClient(url, timeout=timeout, access=access, count=count)
        self._origin = _origin(url)
        self._url = url.rstrip("/")
        self._allowed = [_split(one) for one in allow]
        self._access = access
        self._timeout = timeout
        self._count = count
        self._others: dict[str, PrometheusClient] = {}
        self._lock = threading.Lock()

    @property
    def shown(self) -> str:
        """Host and port of the own one, for people."""
        return self._own.shown

    def of(self, url: str | None) -> PrometheusClient:
        """Return the client of a URL, of the own Prometheus for None. Raises NotAllowed."""
        if url is None or url.rstrip("/") == self._url:
            return self._own
        with self._lock:
            client = self._others.get(url)
            if client is None:
                client = self._others[url] = self._made(url)
                if len(self._others) > MOST_OTHERS:
                    self._others.pop(next(iter(self._others))).close()
            return client

    def close(self) -> None:
        """Close all connections."""
        for client in (self._own, *self._others.values()):
            client.close()

    def _made(self, url: str) -> PrometheusClient:
        try:
            origin, path = _split(url)
        except ValueError as error:
            raise NotAllowed(f"spec.analysis.prometheus: {error}") from None
        if not any(origin == known and (path + "/").startswith(prefix + "/") for known, prefix in self._allowed):
            raise NotAllowed(
                f"spec.analysis.prometheus: the operator may not ask {url}; remove the field, or start the operator "
                f"with --prometheus-allow={url}"
            )
        access = self._access if origin == self._origin else self._access.elsewhere()
        return PrometheusClient(url, timeout=self._timeout, access=access, count=self._count)


def plain(url: str) -> str:
    """Return a URL that may be allowed. Raises ValueError for one that holds more than origin and path."""
    _split(url)
    return url


def _split(url: str) -> tuple[Origin, str]:
    """Return origin and path of a URL that holds nothing else. Raises ValueError."""
    parts = urlsplit(url)
    plain = _PATH.fullmatch(parts.path) and not {".", ".."} & set(parts.path.split("/"))
    if not plain or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"{parts.hostname or url!r} must be a plain URL such as http://prometheus:9090/prefix")
    return _origin(url), parts.path.rstrip("/")


def _origin(url: str) -> Origin:
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("the URL of Prometheus must look like http://prometheus:9090")
    return parts.scheme, parts.hostname.lower(), parts.port or _PORTS[parts.scheme]
