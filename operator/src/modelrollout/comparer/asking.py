"""Asking a revision: one request, one answer, one deadline, no second try.

httpx, which asks for the rest of the project, takes eight times the processor time for each request here.
"""

import asyncio
import io
from typing import Final

import aiohttp
from yarl import URL

from modelrollout.comparer.answers import Answer, End, Request, json_bytes

LONGEST_LINE: Final = 2**15
"""Bytes of a request's first line, or of a header."""
_IDLE: Final = 2.0
"""Seconds that a connection may idle: less than servers wait (often 5 s), or requests meet closing connections."""
_IN_ONE_PIECE: Final = 2**20 - 1
_NEVER_AGAIN: Final = ("POST", "PATCH")
"""Methods with which aiohttp never tries again on its own; without a middleware it is a tenth faster."""
_LONGEST_FAULT: Final = 120


class _NoAnswerError(aiohttp.ClientError):
    """A connection broke; unlike its cause, aiohttp never tries again after it."""


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    try:
        return await send(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _NoAnswerError(*error.args) from error


def session(timeout: float) -> aiohttp.ClientSession:
    """Return the connections to both revisions; `timeout`: seconds for a whole answer."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE),
        timeout=aiohttp.ClientTimeout(total=timeout, ceil_threshold=timeout),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        max_line_size=LONGEST_LINE,
        max_field_size=LONGEST_LINE,
    )


class Asker:
    """Asks one revision."""

    def __init__(self, url: str, connections: aiohttp.ClientSession, max_answer: int) -> None:
        self._url = url.rstrip("/")
        self._session = connections
        self._most = max_answer

    async def ask(self, request: Request) -> Answer:
        """Send a request and read the answer; never raises for what the other side does."""
        clock = asyncio.get_running_loop().time
        start = clock()
        body = request.body if len(request.body) <= _IN_ONE_PIECE else io.BytesIO(request.body)
        url = URL(self._url + request.target, encoded=True)
        once = None if request.method in _NEVER_AGAIN else (_once,)
        try:
            async with self._session.request(
                request.method,
                url,
                headers=request.headers,
                data=body or None,
                allow_redirects=False,
                middlewares=once,
            ) as response:
                found = await self._read(response)
                end = End.TOO_LARGE if found is None else End.ANSWERED
                headers = response.headers
                return Answer(
                    end,
                    clock() - start,
                    response.status,
                    found or b"",
                    headers.get("Content-Type", ""),
                    json_bytes(headers),
                )
        except TimeoutError:
            return Answer(End.TIMEOUT, clock() - start, fault="no answer in time")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(End.UNREACHABLE, clock() - start, fault=_fault(error))

    async def _read(self, response: aiohttp.ClientResponse) -> bytes | None:
        """Read the body; None where it is too large."""
        if (response.content_length or 0) > self._most and response.method != "HEAD":
            response.close()
            return None
        content, chunks, size = response.content, [], 0
        while chunk := await content.readany():
            size += len(chunk)
            if size > self._most:
                response.close()
                return None
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _fault(error: Exception) -> str:
    """Say why there is no answer; what others write into an error may hold what users sent."""
    cause = error.strerror if isinstance(error, OSError) else None
    return ": ".join(filter(None, (type(error).__name__, cause)))[:_LONGEST_FAULT]
