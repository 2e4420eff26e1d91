"""One HTTP exchange: the whole of it within a time, an answer of bounded size, faults in few words."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import httpx

from modelrollout import __version__

AGENT: Final = f"modelrollout/{__version__}"
CONNECT_SECONDS: Final = 3.0


class NoConnection(Exception):
    """Nobody was reached: not a word was said."""


class NoAnswer(Exception):
    """Somebody was reached, and gave no whole answer."""


@dataclass(frozen=True, slots=True)
class Question:
    """What to send."""

    method: str
    url: str
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    content: bytes


@lru_cache(1)
def trust() -> ssl.SSLContext:
    """Return the authorities of this machine, or those of SSL_CERT_FILE; made once, for that takes long."""
    return httpx.create_ssl_context()


def client(**more: Any) -> httpx.AsyncClient:
    """Return a client that goes where it is sent: no redirects, no proxies, no cookies of somebody else."""
    more = {"verify": trust(), "trust_env": False, "follow_redirects": False, "timeout": None, **more}
    return httpx.AsyncClient(**more)


async def ask(http: httpx.AsyncClient, question: Question, seconds: float, most: int, address: str = "") -> Answer:
    """Send a question and read the answer, at `address` where one is given: the name is then only told.

    Raises NoConnection and NoAnswer.
    """
    url = httpx.URL(question.url)
    headers = {"User-Agent": AGENT, **question.headers}
    extensions: dict[str, Any] = {}
    if address:
        headers = {"Host": url.netloc.decode(), **headers}
        extensions = {"sni_hostname": url.host}
        url = url.copy_with(host=address)
    request = http.build_request(
        question.method,
        url,
        content=question.content,
        headers=headers,
        extensions=extensions,
        # Shorter than the whole: who cannot be reached has not been slow to answer.
        timeout=httpx.Timeout(None, connect=min(CONNECT_SECONDS, seconds / 2)),
    )
    try:
        async with asyncio.timeout(seconds):
            response = await http.send(request, stream=True)
            try:
                return Answer(response.status_code, _headers(response), await _content(response, most))
            finally:
                await response.aclose()
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise NoConnection(_words(error)) from None
    except TimeoutError:
        raise NoAnswer(f"no answer within {seconds:g} s") from None
    except (httpx.HTTPError, ssl.SSLError, OSError) as error:
        # The text of these errors can hold addresses and headers; their kind says enough.
        raise NoAnswer(f"no whole answer ({type(error).__name__})") from None


async def _content(response: httpx.Response, most: int) -> bytes:
    parts, size = [], 0
    async for chunk in response.aiter_bytes():
        parts.append(chunk)
        size += len(chunk)
        if size > most:
            raise NoAnswer(f"answer is larger than {most} bytes")
    return b"".join(parts)


def _headers(response: httpx.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _words(error: Exception) -> str:
    text = str(error).lower()
    if "certificate" in text:
        return "its certificate is not trusted; have it signed by an authority that the operator knows (SSL_CERT_FILE)"
    return "no connection"
