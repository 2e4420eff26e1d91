"""Logs in the form of the operator's: one JSON object a line for machines, plain lines for a terminal.

No request, answer or header is ever logged.
"""

import logging
import sys
from typing import Final, Literal

from pythonjsonlogger.json import JsonFormatter

Format = Literal["json", "text"]
LEVELS: Final = ("debug", "info", "warning", "error")


def configure(form: Format, level: str) -> None:
    """Send every log of the process to standard error in one form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_json() if form == "json" else logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Its lines about requests that are no HTTP quote them.
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)


def _json() -> logging.Formatter:
    formatter: logging.Formatter = JsonFormatter(
        "{levelname}{name}{message}",
        style="{",
        rename_fields={"levelname": "level", "name": "logger"},
        timestamp="time",
        json_ensure_ascii=False,
    )
    return formatter
