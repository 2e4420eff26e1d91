"""Moves as JSON to one URL. Its `text` is what Slack, Mattermost, Teams and others show; the rest is for programs."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from modelrollout import __version__
from modelrollout.adapters.notify.queue import NotTold
from modelrollout.api.resource import ModelRollout
from modelrollout.api.status import Move

TRIES: Final = 4
FIRST_WAIT: Final = 1.0
"""Seconds before the second try; doubled after each one."""
SECONDS: Final = 10.0
"""Longest time that one try may take."""


def url_of(text: str) -> str:
    """Return a URL that moves can be sent to. Raises ValueError without repeating it: its path can be a secret."""
    try:
        urlsplit(text)
        url = httpx.URL(text.strip())
    except (ValueError, httpx.InvalidURL):
        raise ValueError("is no URL; write for instance https://chat.example.com/hooks/abc") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("must begin with http:// or https:// and name a host")
    return str(url)


def sender(
    url: str, token_file: Path | None, *, first_wait: float = FIRST_WAIT
) -> Callable[[ModelRollout, Move], Awaitable[None]]:
    """Return what sends moves to a URL, with a bearer token from a file that is read anew each time."""

    async def send(rollout: ModelRollout, move: Move) -> None:
        async with httpx.AsyncClient(timeout=SECONDS, follow_redirects=False) as http:
            for attempt in range(1, TRIES + 1):
                fault, again = await _once(http, url, _headers(token_file), content_of(rollout, move))
                if not fault:
                    return
                if not again or attempt == TRIES:
                    raise NotTold(f"{httpx.URL(url).host}: {fault}")
                wait = first_wait * 2.0 ** (attempt - 1)
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311

    return send


def content_of(rollout: ModelRollout, move: Move) -> dict[str, Any]:
    """Return what is told of a move."""
    meta = rollout.metadata
    by = f" (by {move.by})" if move.by else ""
    return {
        "text": f"{meta.namespace}/{meta.name}: {move.move} of revision {move.revision}{by}: {move.message}",
        "rollout": meta.name,
        "namespace": meta.namespace,
        **move.model_dump(mode="json", by_alias=True, include={"move", "revision", "weight", "message", "by", "at"}),
    }


async def _once(
    http: httpx.AsyncClient, url: str, headers: dict[str, str], content: dict[str, Any]
) -> tuple[str, bool]:
    """Send once; return why it failed, if it did, and whether another try may help."""
    try:
        answer = await http.post(url, json=content, headers=headers)
    except httpx.HTTPError as error:
        return f"no answer ({type(error).__name__})", True
    code = answer.status_code
    return ("" if code < 300 else f"HTTP {code}"), code >= 500 or code in (408, 429)


def _headers(token_file: Path | None) -> dict[str, str]:
    headers = {"User-Agent": f"modelrollout/{__version__}"}
    if token_file is not None:
        try:
            token = token_file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            raise NotTold(f"cannot read the file {token_file}") from None
        if not token.isascii() or not token.isprintable() or not token:
            raise NotTold(f"the file {token_file} must hold one line")
        headers["Authorization"] = f"Bearer {token}"
    return headers
