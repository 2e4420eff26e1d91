"""One HTTP exchange with Prometheus: the query in the body, the whole answer within a deadline, faults in few words."""

import io
import time
from collections.abc import Mapping
from typing import Any, Final

import requests

from modelrollout.adapters.prometheus.access import Access, Unreadable

MAX_BYTES: Final = 64 * 2**20
"""Largest answer that is read, unpacked."""
RETRIED: Final = frozenset({408, 429, 500, 502, 503, 504})
LONGEST_TEXT: Final = 160
_CHUNK: Final = 2**18


class QueryError(Exception):
    """Prometheus did not answer a query; the text says why, in few words and without credentials."""

    def __init__(self, result: str, message: str, *, retry: bool = False) -> None:
        super().__init__(message[:LONGEST_TEXT])
        self.result = result
        """For counting: timeout, unreachable, refused, failed or garbage."""
        self.retry = retry
        """Whether asking again at once may help."""


class Session(requests.Session):
    """A session that keeps queries out of URLs, and reads whole answers within a deadline."""

    def __init__(self, access: Access) -> None:
        super().__init__()
        self.deadline = 0.0
        self._access = access
        self.verify = False if access.insecure else str(access.ca_file) if access.ca_file else True
        if access.cert_file is not None:
            self.cert = (str(access.cert_file), str(access.key_file)) if access.key_file else str(access.cert_file)
        self.headers["User-Agent"] = "modelrollout"

    def request(  # type: ignore[override]
        self, method: str, url: str, *, params: Mapping[str, Any], headers: Mapping[str, str] | None, **options: Any
    ) -> requests.Response:
        """Send `params` in the body; return a response that is read to its end, raise QueryError for any but 200."""
        remaining = self.deadline - time.monotonic()
        if remaining <= 0.0:
            raise QueryError("timeout", "no time left")
        if (file := self._access.missing()) is not None:
            raise QueryError("refused", f"there is no file {file}")
        options["timeout"] = (min(2.0, remaining), remaining)
        try:
            sent = {**(headers or {}), **self._access.headers_now()}
        except Unreadable as error:
            raise QueryError("refused", str(error)) from None
        with super().request(
            method, url, data=params, headers=sent, stream=True, allow_redirects=False, **options
        ) as answer:
            body = self._read(answer)
        whole = requests.Response()
        whole.status_code, whole.encoding, whole.raw = answer.status_code, "utf-8", io.BytesIO(body)
        _check(whole)
        return whole

    def _read(self, answer: requests.Response) -> bytes:
        parts, size = [], 0
        while chunk := answer.raw.read1(_CHUNK, decode_content=True):
            parts.append(chunk)
            size += len(chunk)
            if size > MAX_BYTES:
                raise QueryError("garbage", f"answer is larger than {MAX_BYTES >> 20} MiB")
            if time.monotonic() > self.deadline:
                raise QueryError("timeout", "answer took too long")
        return b"".join(parts)


def _check(answer: requests.Response) -> None:
    code = answer.status_code
    if code in (401, 403):
        raise QueryError("refused", f"HTTP {code}: {_refusal(answer)}")
    if code != 200:
        raise QueryError("failed", f"HTTP {code}{_reason(answer)}", retry=code in RETRIED)
    # Counters missing from a partial answer would look like resets. Thanos and remote storage warn of one,
    # VictoriaMetrics has a flag. What PromQL itself warns of is no lack of data.
    if b'"isPartial"' in answer.content and _field(answer, "isPartial") is True:
        raise QueryError("failed", "partial answer: some of its storage does not answer", retry=True)
    if b'"warnings"' in answer.content and (warnings := _warnings(answer)):
        raise QueryError("failed", f"partial answer: {str(warnings)[:100]}")


def _warnings(answer: requests.Response) -> list[object]:
    found = _field(answer, "warnings")
    warnings = found if isinstance(found, list) else [found] if found else []
    return [one for one in warnings if not str(one).startswith("PromQL ")]


def _refusal(answer: requests.Response) -> str:
    """Say what is missing: Mimir refuses in these words where the tenant is not named."""
    if b"no org id" in answer.content[:1000]:
        return "no tenant; give --prometheus-header X-Scope-OrgID=TENANT"
    return "credentials are missing or not sufficient"


def _reason(answer: requests.Response) -> str:
    """Return the fault that Prometheus itself names, if it does."""
    fault = _field(answer, "error")
    return f": {fault[:100]}" if isinstance(fault, str) and fault else ""


def _field(answer: requests.Response, name: str) -> object:
    try:
        content = answer.json()
    except (ValueError, RecursionError):
        return None
    return content.get(name) if isinstance(content, dict) else None
