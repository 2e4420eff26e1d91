"""How to log in to a Prometheus: files that are read anew for every query, because Kubernetes renews them in place."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_RESERVED: Final = frozenset({"authorization", "host", "content-length", "content-type", "transfer-encoding"})


class Unreadable(ValueError):
    """A file of credentials that cannot be read; the text names it and none of its content."""


@dataclass(frozen=True, slots=True)
class Access:
    """Credentials and trust for one Prometheus. Raises ValueError for a combination that makes no sense."""

    token_file: Path | None = None
    """Bearer token."""
    username_file: Path | None = None
    password_file: Path | None = None
    """Basic authentication."""
    ca_file: Path | None = None
    """Who may vouch for the server; the system's authorities when left out."""
    cert_file: Path | None = None
    key_file: Path | None = None
    """Client certificate and its key."""
    insecure: bool = False
    """Take any certificate of the server."""
    headers: Mapping[str, "str | Path"] = field(default_factory=dict)
    """Further headers, for instance a tenant's, as value or file."""

    def __post_init__(self) -> None:
        if (self.username_file is None) != (self.password_file is None):
            raise ValueError("basic authentication needs a file of the user name and one of the password")
        if self.token_file is not None and self.username_file is not None:
            raise ValueError("give a bearer token or a user name with password, not both")
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("a client key needs its certificate")
        if self.insecure and self.ca_file is not None:
            raise ValueError("an authority file means nothing where any certificate is taken; remove one of them")

    def elsewhere(self) -> "Access":
        """Return what is good for other servers: whom to trust, no credentials."""
        return Access(ca_file=self.ca_file)

    def missing(self) -> Path | None:
        """Return a file of a certificate or key that is not there."""
        files = (self.ca_file, self.cert_file, self.key_file)
        return next((file for file in files if file is not None and not file.exists()), None)

    def headers_now(self) -> dict[str, str]:
        """Return the headers to send, from files as they are now. Raises Unreadable."""
        headers = {name: value if isinstance(value, str) else _read(value) for name, value in self.headers.items()}
        if self.token_file is not None:
            headers["Authorization"] = f"Bearer {_read(self.token_file)}"
        elif self.username_file is not None and self.password_file is not None:
            headers["Authorization"] = basic(_read(self.username_file), _read(self.password_file))
        return headers


def basic(user: str, password: str) -> str:
    """Return the header value of basic authentication."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def headers_of(texts: Sequence[str]) -> dict[str, str | Path]:
    """Read headers from `NAME=VALUE` and `NAME=@FILE`. Raises ValueError without repeating values."""
    headers: dict[str, str | Path] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not _HEADER.fullmatch(name) or not value or re.search(r"[\r\n]", value):
            raise ValueError(f"the header {name!r} is not written as NAME=VALUE or NAME=@FILE")
        if name.lower() in _RESERVED:
            raise ValueError(f"the header {name!r} cannot be set; credentials have options of their own")
        headers[name] = Path(value[1:]) if value.startswith("@") else value
    return headers


def _read(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        raise Unreadable(f"cannot read the file {file}") from None
    if not text or re.search(r"[\r\n]", text):
        raise Unreadable(f"the file {file} must hold one line")
    return text
