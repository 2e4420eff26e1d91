"""Settings, read once from the environment."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

_PATH_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class SettingsError(ValueError):
    """A variable of the environment has a value that cannot be used."""


@dataclass(frozen=True)
class Settings:
    """What the server is told; times are in seconds but for `latency`, which is in milliseconds.

    `None` means "never" for `crash_after` and "draw one" for `seed`.
    """

    model_name: str = "fraud"
    model_version: str = "1"
    port: int = 8080
    latency: float = 0.0
    error_rate: float = 0.0
    start_delay: float = 0.0
    drain: float = 5.0
    crash_after: float | None = None
    seed: int | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings; an unset or empty variable means its default.

        Raises SettingsError.
        """

        def read(name: str, default: T, convert: Callable[[str], T]) -> T:
            text = environ.get(name, "")
            if not text:
                return default
            try:
                return convert(text)
            except ValueError as error:
                raise SettingsError(f"{name}={text!r}: {error}") from None

        return cls(
            model_name=read("MODEL_NAME", cls.model_name, _name),
            model_version=read("MODEL_VERSION", cls.model_version, _name),
            port=read("PORT", cls.port, _port),
            latency=read("LATENCY_MS", cls.latency, _duration),
            error_rate=read("ERROR_RATE", cls.error_rate, _fraction),
            start_delay=read("START_DELAY_S", cls.start_delay, _duration),
            drain=read("DRAIN_S", cls.drain, _duration),
            crash_after=read("CRASH_AFTER_S", cls.crash_after, _duration),
            seed=read("SEED", cls.seed, _integer),
        )


def _name(text: str) -> str:
    # It becomes a path segment and a header value.
    if not _PATH_SEGMENT.fullmatch(text):
        raise ValueError("use letters, digits, '.', '_' and '-', beginning with a letter or digit")
    return text


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("use a whole number") from None


def _port(text: str) -> int:
    port = _integer(text)
    if not 0 <= port <= 65535:
        raise ValueError("use a port from 1 to 65535, or 0 for any free one")
    return port


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError("use a number") from None
    if not math.isfinite(number):
        raise ValueError("use a finite number")
    return number


def _duration(text: str) -> float:
    number = _number(text)
    if number < 0:
        raise ValueError("use 0 or more")
    return number


def _fraction(text: str) -> float:
    number = _number(text)
    if not 0 <= number <= 1:
        raise ValueError("use a fraction from 0 to 1")
    return number
