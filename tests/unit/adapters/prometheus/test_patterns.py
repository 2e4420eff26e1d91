"""Patterns: what a query asks for, and which series is whose."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrollout.adapters.prometheus.patterns import Pattern, Subject, literal, quote, words

NAME = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
REVISION = st.text("bcdfghjklmnpqrstvwxz2456789", min_size=10, max_size=10)
SUBJECT = st.builds(Subject, NAME, NAME, REVISION)
ANYTHING = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)

TRAEFIK = Pattern("{protocol}route-{namespace}-{any}-gw-{any}-svc-{namespace}-{service}-{number}@kubernetesgateway")
FORMS = [
    TRAEFIK,
    Pattern("{service}"),
    Pattern("{service}-{id}-{id}"),
    Pattern("{namespace}/{revision}"),
    Pattern("outbound|80||{service}.{namespace}.svc.cluster.local"),
]


def traefik(subject: Subject, gateway: str = "gateway-public-ep-web", rule: str = "0-0123456789abcdef0123") -> str:
    ns, route = subject.namespace, subject.route
    return f"httproute-{ns}-{route}-gw-{gateway}-{rule}-svc-{ns}-{subject.service}-0@kubernetesgateway"


def unquoted(text: str) -> str:
    """Read a PromQL string as Prometheus does: the escapes of a Go string."""
    assert text[0] == text[-1] == '"'
    body = text[1:-1]
    assert not re.search(r'(?<!\\)(\\\\)*"', body)
    assert "\n" not in body
    return re.sub(r"\\(x[0-9a-f]{2}|.)", lambda m: chr(int(m[1][1:], 16)) if m[1][0] == "x" else m[1], body)


@given(ANYTHING)
def test_a_promql_string_holds_exactly_the_text(text: str) -> None:
    assert unquoted(literal(text)) == text


@given(ANYTHING, ANYTHING)
def test_a_quoted_value_matches_itself_and_nothing_else_but_its_dashes(value: str, other: str) -> None:
    regex = unquoted(literal(quote(value)))
    assert re.fullmatch(regex, value)
    if re.sub("-+", "-", value) != re.sub("-+", "-", other):
        assert not re.fullmatch(regex, other)


@given(ANYTHING)
def test_quoting_uses_only_escapes_that_re2_knows(value: str) -> None:
    assert all(escape[1] in r"\.+*?()|[]{}^$" for escape in re.findall(r"\\.", quote(value), re.DOTALL))


@given(st.sampled_from(FORMS), st.lists(SUBJECT, min_size=1, max_size=8), NAME)
def test_the_query_finds_every_series_that_a_revision_owns(form: Pattern, subjects: list[Subject], wild: str) -> None:
    filled = {"any": wild, "number": "3", "id": "7d9f8b6c5", "protocol": "grpc"}
    for subject in subjects:
        names = {name: getattr(subject, name) for name in ("namespace", "route", "service", "revision")}
        value = form.text.format(**names, **filled)
        assert re.fullmatch(form.of(subject), value)
        assert re.fullmatch(form.of_any(subjects), value)
        assert subject.token in words(value)


@given(SUBJECT, SUBJECT, st.sampled_from(FORMS))
def test_a_series_has_one_owner(one: Subject, other: Subject, form: Pattern) -> None:
    filled = {"any": "x", "number": "0", "id": "abc", "protocol": "http"}
    value = form.text.format(
        namespace=one.namespace, route=one.route, service=one.service, revision=one.revision, **filled
    )
    if one.revision != other.revision:
        assert not re.fullmatch(form.of(other), value)


SUBJECTS = [Subject("prod", "fraud", "bcdfghjklm"), Subject("prod", "fraud", "zzzzzzzzzz")]


@pytest.mark.parametrize(
    ("value", "owned"),
    [
        pytest.param(traefik(SUBJECTS[0]), True, id="as Traefik writes it"),
        pytest.param(traefik(SUBJECTS[0], rule="1-aaaaaaaaaaaaaaaaaaaa"), True, id="other matches"),
        pytest.param(traefik(SUBJECTS[0]).replace("http", "grpc", 1), True, id="gRPC"),
        pytest.param(traefik(SUBJECTS[0]).replace("http", "tcp", 1), False, id="TCP"),
        pytest.param(traefik(SUBJECTS[1]), False, id="other revision"),
        pytest.param(traefik(SUBJECTS[0]).replace("httproute-prod-fraud", "httproute-prod-shop"), True, id="adopted"),
        pytest.param(traefik(SUBJECTS[0]).replace("prod", "test"), False, id="other namespace"),
        pytest.param(traefik(SUBJECTS[0]).replace("-0@", "-x@"), False, id="no index"),
        pytest.param(traefik(SUBJECTS[0]) + "\n", False, id="newline"),
        pytest.param("x" + traefik(SUBJECTS[0]), False, id="prefix"),
    ],
)
def test_traefik_services(value: str, owned: bool) -> None:
    assert bool(re.fullmatch(TRAEFIK.of(SUBJECTS[0]), value)) is owned


def test_the_dashes_of_a_name_may_be_squeezed() -> None:
    subject = Subject("a--b", "c---d", "bcdfghjklm")
    squeezed = re.sub("-+", "-", traefik(subject))
    assert re.fullmatch(TRAEFIK.of(subject), squeezed)
    assert re.fullmatch(TRAEFIK.of_any([subject]), squeezed)


def test_a_query_for_many_rollouts_is_compact() -> None:
    subjects = [Subject("prod", f"model-{n}", f"{s}{n:09}") for n in range(200) for s in "ab"]
    assert len(TRAEFIK.of_any(subjects)) < 200 * 45


def test_revisions_of_one_rollout_share_its_name() -> None:
    expected = r"(http|grpc)route-.+-.+-gw-.+-svc-.+-(?:fraud-(?:bcdfghjklm|zzzzzzzzzz))-[0-9]+@kubernetesgateway"
    assert TRAEFIK.of_any(SUBJECTS) == expected


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{svc}", "unknown placeholder {svc}"),
        ("x{service}", "must stand apart"),
        ("{service}0", "must stand apart"),
        ("{namespace}{service}", "put something between"),
    ],
)
def test_unusable_patterns_are_refused(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=re.escape(fault)):
        Pattern(text)
