"""Logs: one JSON object a line for machines, plain lines for a terminal; secrets never."""

import logging
import re
import sys
from typing import Any, Final, Literal

from pythonjsonlogger.json import JsonFormatter

_QUIET: Final = {
    "kopf": logging.WARNING,
    "aiohttp": logging.WARNING,
    "asyncio": logging.WARNING,
    "urllib3": logging.ERROR,
}
_NEVER: Final = ("httpx", "httpcore")
"""They write whole URLs, and that of a chat's hook is a secret: warnings alone, at every level."""
_SECRETS: Final = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), r"\1 ***"),
    (re.compile(r"://[^/\s:@\"']*:[^/\s@\"']+@"), "://***@"),
    (re.compile(r"(?i)\b(token|password|secret)(\\*['\"]?\s*[=:]\s*\\*['\"]?)[^\s'\",;&\\]+"), r"\1\2***"),
)

Format = Literal["json", "text"]


def redact(text: str) -> str:
    """Blank out what looks like credentials."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


class _Json(JsonFormatter):  # type: ignore[misc]
    """One object a line: time, level, logger, message, and what the call gave as `extra`."""

    def __init__(self) -> None:
        super().__init__(
            "{levelname}{name}{message}",
            style="{",
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp="time",
            json_ensure_ascii=False,
        )

    def format(self, record: logging.LogRecord) -> str:
        return redact(str(super().format(record)))


class _Text(logging.Formatter):
    """Time, level, object and message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(place)s%(message)s", datefmt="%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        place = getattr(record, "object", "")
        record.place = f"{place}: " if place else ""
        return redact(super().format(record))


def configure(form: Format, level: str) -> None:
    """Send every log of the process to standard error in one form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    if root.level > logging.DEBUG:
        for name, least in _QUIET.items():
            logging.getLogger(name).setLevel(max(least, root.level))
    for name in _NEVER:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)


class ObjectLog(logging.LoggerAdapter[logging.Logger]):
    """A log whose every line names its object."""

    def __init__(self, logger: logging.Logger, place: object) -> None:
        super().__init__(logger, {"object": str(place)})

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        """Add the object to what the call gives as `extra`."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs
