"""What an answer of the API server means to us."""

import json

import pytest

from modelrollout.adapters.kubernetes.errors import AlreadyExists, Expired, Forbidden, NotFound, Unserved, refusal
from modelrollout.adapters.kubernetes.resources import DEPLOYMENTS, HTTP_ROUTES, Call
from modelrollout.ports import ConflictError, TerminalError, TransientError

CALL = Call("patch", DEPLOYMENTS, "shop", "fraud-r1")


def body(message: str = "words", reason: str = "", **details: str) -> str:
    return json.dumps({"kind": "Status", "message": message, "reason": reason, "details": details})


CASES = {
    "bad request": (400, body(), TerminalError),
    "unauthorized": (401, body(), TransientError),
    "forbidden": (403, body(), Forbidden),
    "absent": (404, body(name="fraud-r1", kind="deployments"), NotFound),
    "kind not served": (404, body("the server could not find the requested resource"), Unserved),
    "group not served": (404, "404 page not found\n", Unserved),
    "conflict": (409, body(reason="Conflict"), ConflictError),
    "there already": (409, body(reason="AlreadyExists"), AlreadyExists),
    "gone": (410, body(reason="Expired"), Expired),
    "too large": (413, "", TerminalError),
    "invalid": (422, body(), TerminalError),
    "too many": (429, body(), TransientError),
    "broken": (500, "not json", TransientError),
    "unknown field": (500, body("failed to create typed patch object (x): .spec.x: field not declared"), TerminalError),
    "wrong type": (500, body("failed to convert new object (x): quantities must match"), TerminalError),
    "gateway": (502, "<html>", TransientError),
    "details that are none": (503, '{"details": null, "message": "x"}', TransientError),
}


@pytest.mark.parametrize(("code", "text", "kind"), CASES.values(), ids=CASES)
def test_an_answer_is_one_kind_of_error(code: int, text: str, kind: type[Exception]) -> None:
    assert type(refusal(CALL, code, text)) is kind


def test_the_text_names_object_fault_and_remedy() -> None:
    message = 'deployments.apps "fraud-r1" is forbidden: User "x" cannot patch resource "deployments"'
    assert str(refusal(CALL, 403, body(message))) == (
        f"Deployment shop/fraud-r1: patch refused: {message}; allow the operator's service account to patch deployments"
    )


def test_another_reason_to_forbid_is_passed_on_as_it_is() -> None:
    found = str(refusal(CALL, 403, body("namespace shop is being terminated")))
    assert found == "Deployment shop/fraud-r1: patch refused: namespace shop is being terminated"


def test_a_kind_that_is_missing_says_what_to_install() -> None:
    found = str(refusal(Call("list", HTTP_ROUTES), 404, "404 page not found"))
    assert "install the Gateway API CRDs" in found


def test_the_api_servers_words_are_cut() -> None:
    assert len(str(refusal(CALL, 422, body("x" * 100_000)))) < 1000
