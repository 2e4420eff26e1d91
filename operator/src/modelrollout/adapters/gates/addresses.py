"""Which hooks the operator may be sent to: it stands where authors of rollouts do not.

Without a list of its own it asks every host but those that only it can reach: its own machine, its link, and the
metadata service of its cloud, which hands out credentials.
"""

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import SplitResult, urlsplit

_METADATA: Final = (
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd20:ce::254",
)
"""Of clouds whose metadata service is not link-local."""
_TRANSLATED: Final = IPv6Network("64:ff9b::/96")
_PORTS: Final = {"http": 80, "https": 443}

Address = IPv4Address | IPv6Address


class NotAllowed(ValueError):
    """A hook that may not be asked; the text says why and what to do."""


class Allowed:
    """The hooks that may be asked. Raises ValueError for an entry that is no plain URL."""

    def __init__(self, allow: Sequence[str]) -> None:
        self._prefixes = [_split(one) for one in allow]

    def check(self, url: str) -> None:
        """Raise NotAllowed for a URL that can never be asked."""
        try:
            origin, path = _split(url.partition("?")[0])
        except ValueError as error:
            raise NotAllowed(str(error)) from None
        if not self._prefixes:
            _refuse(url, urlsplit(url).hostname or "")
            return
        if not any(origin == known and (path + "/").startswith(prefix + "/") for known, prefix in self._prefixes):
            raise NotAllowed(
                f"the operator may not ask {origin[1]}; name a hook that it may, or start it with --gate-allow "
                f"{origin[0]}://{_shown(origin)} too"
            )

    async def addresses(self, url: str) -> list[str]:
        """Return the addresses behind a URL that may be asked; none where any may be.

        They are what to connect to: a name could be resolved to something else a moment later. Raises NotAllowed
        where one of them may not be asked, OSError where the name cannot be resolved.
        """
        if self._prefixes:
            return []
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        for address in addresses:
            _refuse(url, address)
        return addresses


def plain(url: str) -> str:
    """Return a URL that may be allowed. Raises ValueError for one that holds more than origin and path."""
    _split(url)
    return url


def _refuse(url: str, address: str) -> None:
    """Raise NotAllowed for an address that may not be asked; anything but an address has to be resolved first."""
    parts = urlsplit(url)
    if (what := inner(address)) is not None:
        is_it = what if parts.hostname == address else f"{address}, {what}"
        raise NotAllowed(
            f"{parts.hostname} is {is_it}; name a hook elsewhere, or start the operator with "
            f"--gate-allow {parts.scheme}://{parts.netloc}"
        )


def inner(address: str) -> str | None:
    """Say what an address is that only the operator can reach; None for any other, and for a name."""
    try:
        ip = _unwrapped(ip_address(address.partition("%")[0]))
    except ValueError:
        return None
    if str(ip) in _METADATA or str(ip) == "169.254.169.254":
        return "the metadata service of a cloud"
    for what, holds in (
        ("this machine", ip.is_loopback or ip.is_unspecified),
        ("link-local", ip.is_link_local),
        ("multicast", ip.is_multicast),
    ):
        if holds:
            return what
    return "no address of a host" if _within(ip, "240.0.0.0/4", "0.0.0.0/8") else None


def _unwrapped(ip: Address) -> Address:
    """Return the IPv4 address that an IPv6 one leads to."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _TRANSLATED:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip


def _within(ip: Address, *networks: str) -> bool:
    known: list[IPv4Network | IPv6Network] = [ip_network(network) for network in networks]
    return any(ip in network for network in known)


def _split(url: str) -> tuple[tuple[str, str, int], str]:
    """Return origin and path of a URL that holds nothing else. Raises ValueError."""
    parts = urlsplit(url)
    dots = {".", ".."} & set(parts.path.split("/"))
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc or "%" in parts.path or dots:
        raise ValueError(f"{parts.hostname or 'a hook'} must be a plain URL such as https://checks.example.com/model")
    if parts.query or parts.fragment:
        raise ValueError("an allowed URL holds no query; remove what follows the path")
    return (parts.scheme, parts.hostname.lower(), _port(parts)), parts.path.rstrip("/")


def _port(parts: SplitResult) -> int:
    return parts.port or _PORTS[parts.scheme]


def _shown(origin: tuple[str, str, int]) -> str:
    scheme, host, port = origin
    host = f"[{host}]" if ":" in host else host
    return host if port == _PORTS[scheme] else f"{host}:{port}"
