"""What speaks Prometheus's API without being one, and TLS: answers in the shapes of each."""

import json
import ssl
from pathlib import Path

import pytest
import trustme

from modelrollout.adapters.prometheus.access import Access
from modelrollout.adapters.prometheus.client import PrometheusClient, QueryError
from tests.unit.adapters.prometheus.asking import FRAUD, STABLE, UNTIL, of_pod, read, watched
from tests.unit.adapters.prometheus.serving import Answer, Form, matrix, prometheus

SERIES = of_pod(FRAUD, STABLE, "model_server_requests_total", "1", "2", code="200")


async def errors_of(answer: Answer) -> str | None:
    readings, _ = await read(lambda _: answer, {FRAUD: watched(FRAUD, "errors")})
    return readings[FRAUD]["errors"].error


async def test_victoria_metrics_says_whether_it_is_partial() -> None:
    stats = {"stats": {"seriesFetched": "1", "executionTimeMsec": 1}}
    assert await errors_of(matrix(SERIES, isPartial=False, **stats)) is None
    assert "partial answer" in (await errors_of(matrix(SERIES, isPartial=True, **stats)) or "")


async def test_victoria_metrics_is_asked_for_fresh_and_unmoved_instants() -> None:
    _, fake = await read(lambda _: matrix(SERIES), {FRAUD: watched(FRAUD, "errors")})
    form = fake.asked[0].form
    assert (form["nocache"], form["latency_offset"]) == ("1", "1ms")
    assert form["partial_response"] == "false"


async def test_instants_may_be_whole_or_not() -> None:
    floats = {**SERIES, "values": [[UNTIL - 15.0, "1"], [float(UNTIL), "2"]]}
    assert await errors_of(matrix(floats)) is None
    assert "was not asked for" in (await errors_of(matrix({**SERIES, "values": [[UNTIL - 0.781, "1"]]})) or "")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (
            Answer(json.dumps({"status": "error", "errorType": "execution", "error": "query limit"}).encode(), 422),
            "HTTP 422: query limit",
        ),
        (Answer(b"no org id", 401), "HTTP 401: no tenant; give --prometheus-header X-Scope-OrgID=TENANT"),
        (Answer(b"too many outstanding requests", 429), "HTTP 429"),
        (matrix(SERIES, warnings=["no StoreAPIs matched for this query"]), "partial answer: ['no StoreAPIs"),
    ],
)
async def test_faults_of_mimir_and_thanos(answer: Answer, text: str) -> None:
    assert text in (await errors_of(answer) or "")


async def test_warnings_of_promql_itself_are_no_lack_of_data() -> None:
    warnings = ["PromQL warning: encountered a mix of histograms and floats"]
    assert await errors_of(matrix(SERIES, warnings=warnings, infos=["PromQL info: x"])) is None


@pytest.mark.parametrize("prefix", ["/prometheus", "/select/0/prometheus", "/prometheus/"])
def test_paths_before_the_api(prefix: str) -> None:
    with prometheus(lambda _: matrix()) as fake:
        client = PrometheusClient(fake.url + prefix, count=lambda _: None)
        client.query_range("up", 30, 45, 15)
        client.close()
    assert fake.asked[0].path == f"{prefix.rstrip('/')}/api/v1/query_range"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def context(authority: trustme.CA, *, ask_client: bool = False) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(made)
    if ask_client:
        made.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(made)
    return made


def ask(tls: ssl.SSLContext, access: Access) -> list[object]:
    def respond(form: Form) -> Answer:
        return matrix(SERIES)

    with prometheus(respond, tls) as fake:
        client = PrometheusClient(fake.url, access=access, count=lambda _: None, pause=lambda _: None)
        try:
            return client.query_range("up", UNTIL - 15, UNTIL, 15)
        finally:
            client.close()


def test_a_server_that_nobody_vouches_for_is_refused(authority: trustme.CA) -> None:
    with pytest.raises(QueryError, match="certificate is not trusted"):
        ask(context(authority), Access())


def test_a_server_that_our_authority_vouches_for(authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    assert ask(context(authority), Access(ca_file=tmp_path / "ca.crt")) == [SERIES]


def test_any_server_where_that_is_asked_for(authority: trustme.CA) -> None:
    assert ask(context(authority), Access(insecure=True)) == [SERIES]


def test_a_client_certificate(authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    pair = authority.issue_cert("operator@example.com")
    pair.private_key_pem.write_to_path(str(tmp_path / "tls.key"))
    pair.cert_chain_pems[0].write_to_path(str(tmp_path / "tls.crt"))
    trusting = Access(ca_file=tmp_path / "ca.crt")
    known = Access(ca_file=tmp_path / "ca.crt", cert_file=tmp_path / "tls.crt", key_file=tmp_path / "tls.key")
    assert ask(context(authority, ask_client=True), known) == [SERIES]
    with pytest.raises(QueryError, match=r"^Prometheus at localhost:[0-9]+: "):
        ask(context(authority, ask_client=True), trusting)


def test_a_certificate_file_that_is_missing_is_named(authority: trustme.CA, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"there is no file .*/ca\.crt"):
        ask(context(authority), Access(ca_file=tmp_path / "ca.crt"))
