"""The command `modelrollout operator`: read options, set up logs, run."""

import asyncio
import logging
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

import typer

from modelrollout import __version__
from modelrollout.adapters.gates.addresses import plain as gate_hook
from modelrollout.adapters.prometheus import options as prometheus
from modelrollout.adapters.prometheus.access import Access, headers_of
from modelrollout.adapters.prometheus.metrics import PrometheusMetrics
from modelrollout.adapters.prometheus.servers import plain
from modelrollout.adapters.routers import installed
from modelrollout.api.units import parse_duration
from modelrollout.core.settings import Settings
from modelrollout.ports import TerminalError
from modelrollout.runtime import logs
from modelrollout.runtime.app import run
from modelrollout.runtime.metrics import OperatorMetrics
from modelrollout.runtime.options import DEFAULT_ROUTERS, Options

_NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
T = TypeVar("T")
_log = logging.getLogger(__name__)


def operator(  # noqa: PLR0913, PLR0917
    prometheus_url: Annotated[str, typer.Option(help="Where Prometheus answers queries.")] = "http://prometheus:9090",
    prometheus_token_file: prometheus.TokenFile = None,
    prometheus_username_file: prometheus.UsernameFile = None,
    prometheus_password_file: prometheus.PasswordFile = None,
    prometheus_ca_file: prometheus.CaFile = None,
    prometheus_cert_file: prometheus.CertFile = None,
    prometheus_key_file: prometheus.KeyFile = None,
    prometheus_insecure: prometheus.Insecure = False,
    prometheus_header: prometheus.Header = None,
    prometheus_allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="Rollouts may name this Prometheus, and paths below it; repeat for more.",
        ),
    ] = None,
    scrape_interval: Annotated[
        str,
        typer.Option(help="Prometheus's scrape interval: the window of evidence."),
    ] = "15s",
    settle: Annotated[
        str,
        typer.Option(help="Time that a gateway needs to apply a route it has accepted."),
    ] = "2s",
    namespace: Annotated[
        list[str] | None,
        typer.Option(
            "--namespace",
            "-n",
            help="Serve this one; repeat for more. All when left out.",
        ),
    ] = None,
    router: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Rollouts may use this router; repeat for more. gatewayAPI and service when left out.",
        ),
    ] = None,
    leader_elect: Annotated[bool, typer.Option(help="Act only while holding the lease.")] = True,
    lease_namespace: Annotated[
        str | None,
        typer.Option(help="Where the lease is; the pod's own when left out."),
    ] = None,
    track_config: Annotated[
        bool,
        typer.Option(help="Watch ConfigMaps and Secrets, for spec.trackConfig."),
    ] = False,
    comparer_image: Annotated[
        str | None,
        typer.Option(help="Image to run comparers from; the operator's own, as its pod says, when left out."),
    ] = None,
    pull_secret: Annotated[
        list[str] | None,
        typer.Option(help="Secret that comparers pull it with; repeat for more."),
    ] = None,
    gate_allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="Gates may ask this hook, and paths below it, and no other; repeat for more.",
        ),
    ] = None,
    notify_url: Annotated[
        str | None,
        typer.Option(help="Where moves of rollouts that ask for it are told, as JSON."),
    ] = None,
    notify_token_file: Annotated[
        Path | None,
        typer.Option(help="Bearer token for it; read anew for each move."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Rollouts worked on at the same time.")] = 8,
    listen: Annotated[str, typer.Option(help="Address of /healthz, /readyz and /metrics.")] = "0.0.0.0:8081",
    log_format: Annotated[str, typer.Option(help="json or text; text on a terminal.")] = "",
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    kubeconfig: Annotated[str | None, typer.Option(help="For an operator outside of the cluster.")] = None,
) -> None:
    """Run the operator until SIGTERM.

    Exits with 0 when asked to stop, with 1 when it has to be started again, with 2 for bad options.
    """
    logs.configure(_format(log_format), _one_of("--log-level", log_level, ("debug", "info", "warning", "error")))
    host, port = _checked("--listen", listen, _address)
    window = _checked("--scrape-interval", scrape_interval, _window)
    options = Options(
        settings=Settings(window=window, settle=_checked("--settle", settle, parse_duration)),
        namespaces=tuple(namespace or ()),
        leader_elect=leader_elect,
        lease_namespace=lease_namespace or _own_namespace(),
        kubeconfig=kubeconfig,
        track_config=track_config,
        routers=tuple(_one_of("--router", name, installed()) for name in router or DEFAULT_ROUTERS),
        comparer_image=comparer_image or None,
        pull_secrets=tuple(pull_secret or ()),
        gate_allow=tuple(_checked("--gate-allow", url, gate_hook) for url in gate_allow or ()),
        notify_url=_checked("--notify-url", notify_url, _notify_url) if notify_url else None,
        notify_token_file=notify_token_file,
        workers=workers,
        host=host,
        port=port,
    )
    metrics = OperatorMetrics()
    try:
        access = Access(
            token_file=prometheus_token_file,
            username_file=prometheus_username_file,
            password_file=prometheus_password_file,
            ca_file=prometheus_ca_file,
            cert_file=prometheus_cert_file,
            key_file=prometheus_key_file,
            insecure=prometheus_insecure,
            headers=headers_of(prometheus_header or []),
        )
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--prometheus-*") from None
    allow = [_checked("--prometheus-allow", url, plain) for url in prometheus_allow or []]
    provider = _checked(
        "--prometheus-url",
        prometheus_url,
        lambda url: PrometheusMetrics(
            url,
            window=window,
            count=metrics.counts_query,
            access=access,
            allow=allow,
        ),
    )
    raise typer.Exit(asyncio.run(_run(options, provider, metrics)))


operator_command = operator


async def _run(options: Options, provider: PrometheusMetrics, metrics: OperatorMetrics) -> int:
    _log.info("modelrollout %s starts", __version__)
    try:
        return await run(options, provider, metrics)
    except TerminalError as error:
        _log.critical("%s", error)
        return 1
    except OSError as error:
        _log.critical("cannot serve probes and metrics on %s:%d: %s", options.host, options.port, error.strerror)
        return 1
    finally:
        provider.close()


def _format(text: str) -> logs.Format:
    if not text:
        return "text" if sys.stderr.isatty() else "json"
    form: Literal["json", "text"] = "json" if _one_of("--log-format", text, ("json", "text")) == "json" else "text"
    return form


def _one_of(option: str, text: str, known: tuple[str, ...]) -> str:
    found = next((name for name in known if name.lower() == text.lower()), None)
    if found is None:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(known)}", param_hint=option)
    return found


def _checked(option: str, text: str, read: Callable[[str], T]) -> T:
    try:
        return read(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _window(text: str) -> int:
    window = parse_duration(text)
    if window < timedelta(seconds=1) or window % timedelta(seconds=1):
        raise ValueError(f"{text!r} is not a whole number of seconds")
    return int(window.total_seconds())


def _notify_url(text: str) -> str:
    from modelrollout.adapters.notify.webhook import url_of  # noqa: PLC0415 - httpx is large

    return url_of(text)


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{text!r} is no address; write for instance 0.0.0.0:8081 or :8081")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104


def _own_namespace() -> str:
    return _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.exists() else "default"
