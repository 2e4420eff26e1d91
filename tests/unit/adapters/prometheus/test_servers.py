"""Which Prometheus may be asked, and who gets credentials."""

import base64
from pathlib import Path

import pytest

from modelrollout.adapters.prometheus.access import Access, headers_of
from modelrollout.adapters.prometheus.servers import NotAllowed, Servers
from tests.unit.adapters.prometheus.asking import CHURN, FRAUD, STABLE, of_pod, read, watched
from tests.unit.adapters.prometheus.serving import Answer, Form, matrix, prometheus


def servers(url: str, *allow: str, access: Access | None = None) -> Servers:
    return Servers(url, timeout=5.0, access=access or Access(), allow=allow, count=lambda _: None)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://own:9090", True),
        ("http://own:9090/", True),
        ("http://own:9090/other", False),
        ("http://other:9090", True),
        ("http://OTHER:9090/prometheus", True),
        ("http://other:9091", False),
        ("https://other:9090", False),
        ("http://other.evil:9090", False),
        ("http://other", False),
        ("https://mimir/tenant", True),
        ("https://mimir:443/tenant/prometheus", True),
        ("https://mimir/tenants", False),
        ("https://mimir/", False),
        ("https://mimir/tenant/../other", False),
        ("https://mimir/tenant/%2e%2e/other", False),
        ("https://mimir/tenant//x", False),
        ("https://user@mimir/tenant", False),
        ("https://mimir/tenant?x=y", False),
        ("https://mimir:99999/tenant", False),
        ("ftp://mimir/tenant", False),
    ],
)
def test_only_what_is_allowed_is_asked(url: str, allowed: bool) -> None:
    found = servers("http://own:9090", "http://other:9090", "https://mimir/tenant/")
    if allowed:
        assert found.of(url) is found.of(url)
    else:
        with pytest.raises(NotAllowed, match=r"^spec.analysis.prometheus: "):
            found.of(url)


async def test_a_rollout_that_asks_elsewhere_is_told_which_option_is_missing() -> None:
    def respond(form: Form) -> Answer:
        return matrix(of_pod(CHURN, STABLE, "model_server_requests_total", "1", "2", code="200"))

    where = "http://127.0.0.1:1/other"
    readings, fake = await read(
        respond, {FRAUD: watched(FRAUD, "errors", prometheus=where), CHURN: watched(CHURN, "errors")}
    )
    assert readings[FRAUD]["errors"].error == (
        f"spec.analysis.prometheus: the operator may not ask {where}; remove the field, or start the operator with "
        f"--prometheus-allow={where}"
    )
    assert readings[CHURN]["errors"].stable
    assert len(fake.asked) == 1


async def test_another_server_gets_no_credentials(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    access = Access(token_file=token, headers={"X-Scope-OrgID": "team"})
    with prometheus(lambda _: matrix()) as other:
        watches = {
            FRAUD: watched(FRAUD, "errors", prometheus=f"{other.url}/select/0/prometheus"),
            CHURN: watched(CHURN, "errors"),
        }
        _, own = await read(lambda _: matrix(), watches, access=access, allow=[other.url])
    (there,), (here,) = other.asked, own.asked
    assert there.path == "/select/0/prometheus/api/v1/query_range"
    assert not {"Authorization", "X-Scope-OrgID"} & set(there.headers)
    assert here.headers["Authorization"] == "Bearer secret"
    assert here.headers["X-Scope-OrgID"] == "team"
    assert "churn" in here.form["query"]
    assert "churn" not in there.form["query"]


async def test_another_path_of_the_own_server_gets_them(tmp_path: Path) -> None:
    user, password = tmp_path / "username", tmp_path / "password"
    user.write_text("reader\n")
    password.write_text("hunter2")
    access = Access(username_file=user, password_file=password)
    with prometheus(lambda _: matrix()) as fake:
        found = servers(fake.url, f"{fake.url}/team-a", access=access)
        found.of(f"{fake.url}/team-a").query_range("up", 30, 45, 15)
        found.close()
    expected = "Basic " + base64.b64encode(b"reader:hunter2").decode()
    assert fake.asked[0].headers["Authorization"] == expected


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"username_file": Path("u")}, "needs a file of the user name and one of the password"),
        ({"token_file": Path("t"), "username_file": Path("u"), "password_file": Path("p")}, "not both"),
        ({"key_file": Path("k")}, "a client key needs its certificate"),
        ({"insecure": True, "ca_file": Path("c")}, "remove one of them"),
    ],
)
def test_combinations_that_make_no_sense(options: dict[str, Path], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Access(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["X-Scope-OrgID", "=x", "X=", "X Y=1", "X=a\nb", "Authorization=Bearer secret"])
def test_headers_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="the header") as error:
        headers_of([text])
    assert "secret" not in str(error.value)


def test_headers_from_files_are_read_each_time(tmp_path: Path) -> None:
    file = tmp_path / "tenant"
    access = Access(headers=headers_of([f"X-Scope-OrgID=@{file}", "X-Other=1=2"]))
    for tenant in ("a", "b"):
        file.write_text(f"{tenant}\n")
        assert access.headers_now() == {"X-Scope-OrgID": tenant, "X-Other": "1=2"}
