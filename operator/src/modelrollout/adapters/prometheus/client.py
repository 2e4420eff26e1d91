"""Range queries to Prometheus, bounded in time and size, with errors fit for people.

`prometheus-api-client` does the asking. Importing it costs about 0.2 s and 19 MB, so this module is for the operator
only; nothing that a person waits for imports it.
"""

import io
import math
import random
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import urllib3.exceptions
from prometheus_api_client import PrometheusConnect
from urllib3.util.retry import Retry

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


class _Session(requests.Session):
    """A session that keeps queries out of URLs, and reads whole answers within a deadline."""

    def __init__(self, token_file: Path | None) -> None:
        super().__init__()
        self.deadline = 0.0
        self._token_file = token_file

    def request(  # type: ignore[override]
        self, method: str, url: str, *, params: Mapping[str, Any], headers: Mapping[str, str] | None, **options: Any
    ) -> requests.Response:
        """Send `params` in the body; return a response that is read to its end, raise QueryError for any but 200."""
        remaining = self.deadline - time.monotonic()
        if remaining <= 0.0:
            raise QueryError("timeout", "no time left")
        options["timeout"] = (min(2.0, remaining), remaining)
        sent = dict(headers or {})
        if self._token_file is not None:
            sent["Authorization"] = f"Bearer {_token(self._token_file)}"
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


def _token(file: Path) -> str:
    """Read a token each time it is used: Kubernetes renews it in place."""
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        raise QueryError("refused", f"cannot read the token file {file}") from None


def _check(answer: requests.Response) -> None:
    code = answer.status_code
    if code in (401, 403):
        raise QueryError("refused", f"HTTP {code}: credentials are missing or not sufficient")
    if code != 200:
        raise QueryError("failed", f"HTTP {code}{_reason(answer)}", retry=code in RETRIED)
    # Warnings come with partial answers (remote storage, Thanos): counters missing from one would look like resets.
    if b'"warnings"' in answer.content and (warnings := _field(answer, "warnings")):
        raise QueryError("failed", f"partial answer: {str(warnings)[:100]}")


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


class PrometheusClient:
    """Asks one Prometheus; safe to use from several threads, each of which keeps a connection of its own.

    `url` may hold credentials; they never show in errors. `timeout` is in seconds and bounds a query with its one
    retry. Raises ValueError for a URL that is none.
    """

    def __init__(  # noqa: PLR0913
        self,
        url: str,
        *,
        timeout: float = 5.0,
        headers: Mapping[str, str] | None = None,
        token_file: Path | None = None,
        ca_file: Path | None = None,
        count: Callable[[str], None],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the URL of Prometheus must look like http://prometheus:9090")
        self.shown = parts.netloc.rpartition("@")[2]
        """Host and port, for people."""
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._headers = dict(headers or {})
        self._token_file = token_file
        self._verify = str(ca_file) if ca_file else True
        self._count = count
        self._pause = pause
        self._local = threading.local()
        self._sessions: list[_Session] = []

    def query_range(self, query: str, start: int, end: int, step: int, *, deadline: float = math.inf) -> list[Any]:
        """Return the series of a range query; instants in Unix seconds, `step` in seconds. Raises QueryError.

        Asks once more after a fault that may have gone by then. Gives up at `deadline` (time.monotonic) at the latest.
        """
        deadline = min(deadline, time.monotonic() + self._timeout)
        try:
            try:
                answer = self._ask(query, start, end, step, deadline)
            except QueryError as error:
                if not error.retry or time.monotonic() > deadline - 0.5 * self._timeout:
                    raise
                self._pause(random.uniform(0.05, 0.25))  # noqa: S311
                answer = self._ask(query, start, end, step, deadline)
        except QueryError as error:
            self._count(error.result)
            raise
        self._count("success")
        return answer

    def close(self) -> None:
        """Close all connections."""
        for session in self._sessions:
            session.close()

    def _ask(self, query: str, start: int, end: int, step: int, deadline: float) -> list[Any]:
        connect, session = self._connection()
        session.deadline = deadline
        try:
            answer = connect.custom_query_range(
                query,
                datetime.fromtimestamp(start, UTC),
                datetime.fromtimestamp(end, UTC),
                str(step),
                params={"timeout": f"{self._timeout:g}s"},
            )
        except QueryError as error:
            error.args = (f"Prometheus at {self.shown}: {error}",)
            raise
        except (OSError, urllib3.exceptions.HTTPError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._fault(error) from None
        if not isinstance(answer, list):
            raise self._fault(TypeError())
        return answer

    def _fault(self, error: Exception) -> QueryError:
        """Put a fault below HTTP in words of our own: those of the libraries may hold the whole URL."""
        where = f"Prometheus at {self.shown}"
        if isinstance(error, requests.exceptions.Timeout | urllib3.exceptions.TimeoutError | TimeoutError):
            return QueryError("timeout", f"{where}: no answer within {self._timeout:g} s")
        if isinstance(error, requests.exceptions.SSLError):
            return QueryError("unreachable", f"{where}: its certificate is not trusted, or TLS failed")
        if isinstance(error, requests.exceptions.JSONDecodeError | ValueError | KeyError | TypeError | RecursionError):
            return QueryError("garbage", f"{where}: its answer is not that of a Prometheus")
        if isinstance(error, requests.exceptions.ConnectionError):
            return QueryError("unreachable", f"{where}: cannot connect ({_cause(error)})", retry=True)
        return QueryError("unreachable", f"{where}: connection broke ({type(error).__name__})", retry=True)

    def _connection(self) -> tuple[Any, _Session]:
        if not hasattr(self._local, "connection"):
            session = _Session(self._token_file)
            session.verify = self._verify
            session.headers["User-Agent"] = "modelrollout"
            connect = PrometheusConnect(
                url=self._url, headers=self._headers, session=session, retry=Retry(0), method="POST"
            )
            self._local.connection = (connect, session)
            self._sessions.append(session)
        connection: tuple[Any, _Session] = self._local.connection
        return connection


def _cause(error: BaseException) -> str:
    """Name the fault of the operating system below an error, if there is one."""
    known = {
        ConnectionRefusedError: "connection refused",
        ConnectionResetError: "connection reset",
        TimeoutError: "timed out",
    }
    text = repr(error)
    for kind, words in known.items():
        if kind.__name__ in text or words in text.lower():
            return words
    resolves = not any(sign in text for sign in ("NameResolution", "getaddrinfo", "gaierror"))
    return "no connection" if resolves else "its name cannot be resolved"
