"""Settings, read once from the environment."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

DEFECTS = ("swapped-columns", "label-shift", "worse-slice", "leaking")

_PATH_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class SettingsError(ValueError):
    """A variable of the environment has a value that cannot be used."""


@dataclass(frozen=True)
class Settings:
    """What the server is told.

    Times are in seconds but for `latency` and `deadline`, which are in milliseconds; `faults_from` and `faults_until`
    are Unix times.

    `None` means "never" for `crash_after` and `deadline`, "draw one" for `seed`, "none" for the ports and fallbacks,
    and for the rest "as the model's metadata say". An empty name or version is taken from the metadata, too.
    """

    model_name: str = ""
    model_version: str = ""
    port: int = 8080
    latency: float = 0.0
    error_rate: float = 0.0
    start_delay: float = 0.0
    drain: float = 5.0
    crash_after: float | None = None
    seed: int | None = None
    defect: str = ""
    model_uri: str = ""
    model_sha256: str = ""
    deadline: float | None = None
    fallback_value: float | None = None
    fallback_model_uri: str = ""
    max_in_flight: int = 512
    max_body: int = 1 << 20
    grpc_port: int | None = None
    slice_feature: str = ""
    slice_values: tuple[str, ...] = ()
    label_tolerance: float | None = None
    feedback_rows: int = 50_000
    feedback_peers: str = ""
    feedback_cohort: int = 300
    log_path: str = ""
    log_sample: float = 0.01
    log_max_bytes: int = 64 << 20
    log_redact: tuple[str, ...] = ()
    faults_from: float = 0.0
    faults_until: float = math.inf

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
            faults_from=read("FAULTS_FROM", cls.faults_from, _number),
            faults_until=read("FAULTS_UNTIL", cls.faults_until, _number),
            start_delay=read("START_DELAY_S", cls.start_delay, _duration),
            drain=read("DRAIN_S", cls.drain, _duration),
            crash_after=read("CRASH_AFTER_S", cls.crash_after, _duration),
            seed=read("SEED", cls.seed, _integer),
            defect=read("DEFECT", cls.defect, _defect),
            model_uri=read("MODEL_URI", cls.model_uri, str),
            model_sha256=read("MODEL_SHA256", cls.model_sha256, _sha256),
            deadline=read("DEADLINE_MS", cls.deadline, _duration),
            fallback_value=read("FALLBACK_VALUE", cls.fallback_value, _number),
            fallback_model_uri=read("FALLBACK_MODEL_URI", cls.fallback_model_uri, str),
            max_in_flight=read("MAX_IN_FLIGHT", cls.max_in_flight, _count),
            max_body=read("MAX_BODY_BYTES", cls.max_body, _count),
            grpc_port=read("GRPC_PORT", cls.grpc_port, _port),
            slice_feature=read("SLICE_FEATURE", cls.slice_feature, str),
            slice_values=read("SLICE_VALUES", cls.slice_values, _names),
            label_tolerance=read("LABEL_TOLERANCE", cls.label_tolerance, _duration),
            feedback_rows=read("FEEDBACK_ROWS", cls.feedback_rows, _integer),
            feedback_peers=read("FEEDBACK_PEERS", cls.feedback_peers, _address),
            feedback_cohort=read("FEEDBACK_COHORT_S", cls.feedback_cohort, _count),
            log_path=read("PREDICTION_LOG", cls.log_path, str),
            log_sample=read("PREDICTION_LOG_SAMPLE", cls.log_sample, _fraction),
            log_max_bytes=read("PREDICTION_LOG_MAX_BYTES", cls.log_max_bytes, _count),
            log_redact=read("PREDICTION_LOG_REDACT", cls.log_redact, _names),
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


def _count(text: str) -> int:
    number = _integer(text)
    if number < 1:
        raise ValueError("use a whole number above 0")
    return number


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError("use host:port, such as fraud-pods:8080")
    return text


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _defect(text: str) -> str:
    if text not in DEFECTS:
        raise ValueError(f"use one of {', '.join(DEFECTS)}")
    return text


def _sha256(text: str) -> str:
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise ValueError("use 64 hexadecimal digits")
    return text.lower()


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
