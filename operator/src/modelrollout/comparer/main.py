"""The command `modelrollout comparer`: read options, set up logs, run."""

import asyncio
import re
import sys
from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar, get_args
from urllib.parse import urlsplit

import typer

from modelrollout.api.units import parse_duration, parse_percent
from modelrollout.comparer import logs
from modelrollout.comparer.options import Limits, Options, Side, parse_bytes
from modelrollout.comparer.paths import Paths
from modelrollout.comparer.process import run
from modelrollout.comparer.rules import Mode, Rules

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_ENV: Final = "MODELROLLOUT_COMPARER_"
T = TypeVar("T")


def _option(name: str, words: str, *, least: int | None = None, most: int | None = None) -> Any:
    """Return an option that the environment can give as well."""
    return typer.Option(f"--{name}", envvar=_ENV + name.upper().replace("-", "_"), help=words, min=least, max=most)


def comparer(  # noqa: PLR0913, PLR0917
    rollout: Annotated[str, _option("rollout", "Name of the rollout.")],
    stable: Annotated[str, _option("stable", "Stable's revision.")],
    candidate: Annotated[str, _option("candidate", "The candidate's revision.")],
    stable_url: Annotated[str, _option("stable-url", "Where stable answers, for instance http://fraud-abc:80.")],
    candidate_url: Annotated[str, _option("candidate-url", "Where the candidate answers.")],
    namespace: Annotated[str, _option("namespace", "The rollout's namespace.")] = "default",
    compare: Annotated[str, _option("compare", "auto, protocol (Open Inference Protocol), json or exact.")] = "auto",
    tolerance: Annotated[float, _option("tolerance", "Numbers that differ by no more agree.")] = 1e-6,
    relative_tolerance: Annotated[
        float, _option("relative-tolerance", "Allowed in addition, as a share of the larger number.")
    ] = 0.0,
    top1: Annotated[
        bool, typer.Option("--top1/--no-top1", envvar=_ENV + "TOP1", help="Only the highest class has to be the same.")
    ] = False,
    path: Annotated[
        list[str] | None, _option("path", "Compare only what this JSON path names; repeat for more.")
    ] = None,
    ignore: Annotated[
        list[str] | None, _option("ignore", "Do not compare what this JSON path, or bare key, names.")
    ] = None,
    noise: Annotated[str, _option("noise", "Share of requests for which stable is asked twice.")] = "5%",
    timeout: Annotated[str, _option("timeout", "An answer that takes longer is late.")] = "5s",
    concurrency: Annotated[int, _option("concurrency", "Requests compared at the same time.", least=1, most=4096)] = 64,
    queue: Annotated[int, _option("queue", "Requests that may wait; more are shed.", least=0, most=1_000_000)] = 256,
    queue_bytes: Annotated[str, _option("queue-bytes", "Most bytes of all request bodies held.")] = "64Mi",
    max_body: Annotated[str, _option("max-body", "Larger requests are shed.")] = "1Mi",
    max_answer: Annotated[str, _option("max-answer", "Larger answers make no pair.")] = "1Mi",
    samples: Annotated[int, _option("samples", "Disagreements kept to look at.", least=0, most=1000)] = 50,
    samples_bytes: Annotated[str, _option("samples-bytes", "Most bytes of them.")] = "4Mi",
    redact: Annotated[
        list[str] | None, _option("redact", "JSON path, or bare key, that no kept disagreement shows.")
    ] = None,
    redact_inputs: Annotated[
        bool,
        typer.Option(
            "--redact-inputs/--no-redact-inputs",
            envvar=_ENV + "REDACT_INPUTS",
            help="Keep no query and no body of requests.",
        ),
    ] = True,
    listen: Annotated[str, _option("listen", "Address for mirrored requests.")] = "0.0.0.0:8080",
    metrics_listen: Annotated[
        str, _option("metrics-listen", "Address of /metrics, /disagreements, /healthz and /readyz.")
    ] = "0.0.0.0:8081",
    log_format: Annotated[str, _option("log-format", "json or text; text on a terminal.")] = "",
    log_level: Annotated[str, _option("log-level", "debug, info, warning or error.")] = "info",
) -> None:
    """Compare the answers of two revisions to mirrored requests until SIGTERM.

    Exits with 0 when asked to stop, with 1 when it cannot listen, with 2 for bad options.
    """
    if stable == candidate:
        raise typer.BadParameter("is stable's revision too; there is nothing to compare", param_hint="--candidate")
    rules = Rules(
        mode=_checked("--compare", compare, _mode),
        tolerance=_checked("--tolerance", tolerance, _not_negative),
        relative_tolerance=_checked("--relative-tolerance", relative_tolerance, _not_negative),
        top1=top1,
        paths=_checked("--path", path or [], Paths),
        ignore=_checked("--ignore", ignore or [], Paths),
    )
    limits = Limits(
        timeout=_checked("--timeout", timeout, _seconds),
        concurrency=concurrency,
        queue=queue,
        queue_bytes=_checked("--queue-bytes", queue_bytes, parse_bytes),
        max_body=_checked("--max-body", max_body, parse_bytes),
        max_answer=_checked("--max-answer", max_answer, parse_bytes),
        samples=samples,
        samples_bytes=_checked("--samples-bytes", samples_bytes, parse_bytes),
    )
    host, port = _checked("--listen", listen, _address)
    metrics_host, metrics_port = _checked("--metrics-listen", metrics_listen, _address)
    options = Options(
        namespace=_checked("--namespace", namespace, _name),
        rollout=_checked("--rollout", rollout, _name),
        stable=Side(_checked("--stable", stable, _name), _checked("--stable-url", stable_url, _url)),
        candidate=Side(_checked("--candidate", candidate, _name), _checked("--candidate-url", candidate_url, _url)),
        rules=rules,
        limits=limits,
        noise=_checked("--noise", noise, _share),
        redact=_checked("--redact", redact or [], Paths),
        keep_inputs=not redact_inputs,
        host=host,
        port=port,
        metrics_host=metrics_host,
        metrics_port=metrics_port,
    )
    logs.configure(_checked("--log-format", log_format, _format), _checked("--log-level", log_level, _level))
    raise typer.Exit(asyncio.run(run(options)))


comparer_command = comparer


def _checked(option: str, given: object, read: Callable[..., T]) -> T:
    try:
        return read(given)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _mode(text: str) -> Mode:
    for mode in get_args(Mode):
        if mode == text:
            return mode  # type: ignore[no-any-return]
    raise ValueError(f"{text!r} is not one of {', '.join(get_args(Mode))}")


def _not_negative(value: float) -> float:
    if not 0.0 <= value < float("inf"):
        raise ValueError(f"{value} is no distance; give 0 or more")
    return value


def _seconds(text: str) -> float:
    seconds = parse_duration(text).total_seconds()
    if seconds <= 0.0:
        raise ValueError("must be more than nothing, for instance 5s")
    return seconds


def _share(text: str) -> float:
    share = parse_percent(text)
    if share > 1.0:
        raise ValueError(f"{text!r} is more than all requests; give at most 100%")
    return share


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name of an object: lower-case letters, digits, '-' and '.'")
    return text


def _url(text: str) -> str:
    parts = urlsplit(text)
    fits = parts.scheme in ("http", "https") and parts.hostname and not parts.query and not parts.fragment
    if not fits or parts.username is not None or (parts.port or 1) > 65535:
        raise ValueError("is no address of a server; write for instance http://fraud-abc.default.svc:80")
    return text


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{text!r} is no address; write for instance 0.0.0.0:8080 or :8080")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104


def _format(text: str) -> logs.Format:
    if text in ("json", "text"):
        return "json" if text == "json" else "text"
    if text:
        raise ValueError(f"{text!r} is not one of json, text")
    return "text" if sys.stderr.isatty() else "json"


def _level(text: str) -> str:
    if text.lower() not in logs.LEVELS:
        raise ValueError(f"{text!r} is not one of {', '.join(logs.LEVELS)}")
    return text.lower()
