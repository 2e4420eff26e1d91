"""Range queries to Prometheus, bounded in time and size, with errors fit for people.

`prometheus-api-client` does the asking. Importing it costs about 0.2 s and 19 MB, so this module is for the operator
only; nothing that a person waits for imports it.
"""

import math
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
import urllib3
import urllib3.exceptions
from prometheus_api_client import PrometheusConnect
from urllib3.util.retry import Retry

from modelrollout.adapters.prometheus.access import Access, basic
from modelrollout.adapters.prometheus.transport import QueryError, Session

__all__ = ["PrometheusClient", "QueryError"]

MANNERS: Final = {"nocache": "1", "latency_offset": "1ms", "partial_response": "false"}
"""What makes others answer like Prometheus, which ignores it.

VictoriaMetrics would move instants for its cache and hide the last half minute; Thanos would leave out what a
storage did not answer.
"""

Asking = Callable[[Any, dict[str, str]], Any]
"""Sends one query by the library, with these parameters."""


class PrometheusClient:
    """Asks one Prometheus; safe to use from several threads, each of which keeps a connection of its own.

    `url` may hold credentials; they never show in errors. `timeout` is in seconds and bounds a query with its one
    retry. Raises ValueError for a URL that is none.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 5.0,
        access: Access | None = None,
        count: Callable[[str], None],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the URL of Prometheus must look like http://prometheus:9090")
        userinfo, _, self.shown = parts.netloc.rpartition("@")
        """Host and port, for people."""
        self._url = urlunsplit((parts.scheme, self.shown, parts.path.rstrip("/"), "", ""))
        user, _, password = userinfo.partition(":")
        self._headers = {"Authorization": basic(unquote(user), unquote(password))} if userinfo else {}
        self._access = access or Access()
        if self._access.insecure:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self._timeout = timeout
        self._count = count
        self._pause = pause
        self._local = threading.local()
        self._sessions: list[Session] = []

    def query_range(self, query: str, start: int, end: int, step: int, *, deadline: float = math.inf) -> list[Any]:
        """Return the series of a range query; instants in Unix seconds, `step` in seconds. Raises QueryError.

        Asks once more after a fault that may have gone by then. Gives up at `deadline` (time.monotonic) at the latest.
        """
        begin, finish = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)
        return self._answer(
            lambda connect, params: connect.custom_query_range(query, begin, finish, str(step), params=params), deadline
        )

    def query(self, query: str, *, deadline: float = math.inf) -> list[Any]:
        """Return the series of a query as of now. Raises QueryError."""
        return self._answer(lambda connect, params: connect.custom_query(query, params=params), deadline)

    def close(self) -> None:
        """Close all connections."""
        for session in self._sessions:
            session.close()

    def _answer(self, ask: Asking, deadline: float) -> list[Any]:
        deadline = min(deadline, time.monotonic() + self._timeout)
        try:
            try:
                answer = self._ask(ask, deadline)
            except QueryError as error:
                if not error.retry or time.monotonic() > deadline - 0.5 * self._timeout:
                    raise
                self._pause(random.uniform(0.05, 0.25))  # noqa: S311
                answer = self._ask(ask, deadline)
        except QueryError as error:
            self._count(error.result)
            raise
        self._count("success")
        return answer

    def _ask(self, ask: Asking, deadline: float) -> list[Any]:
        connect, session = self._connection()
        session.deadline = deadline
        try:
            answer = ask(connect, {"timeout": f"{self._timeout:g}s", **MANNERS})
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

    def _connection(self) -> tuple[Any, Session]:
        if not hasattr(self._local, "connection"):
            session = Session(self._access)
            connect = PrometheusConnect(
                url=self._url, headers=self._headers, auth=_as_it_is, session=session, retry=Retry(0), method="POST"
            )
            self._local.connection = (connect, session)
            self._sessions.append(session)
        connection: tuple[Any, Session] = self._local.connection
        return connection


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Add nothing: without an `auth` of our own, requests would look for credentials in ~/.netrc."""
    return request


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
