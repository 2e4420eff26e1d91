"""Logs: their forms, and that no secret passes."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrollout.runtime.logs import ObjectLog, configure, redact


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(False)


def line(form: str, monkeypatch: pytest.MonkeyPatch, text: str) -> str:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    configure(form, "info")  # type: ignore[arg-type]
    log = ObjectLog(logging.getLogger("modelrollout.test"), "ml/fraud")
    log.info(text, extra={"decision": "Promoted", "step": "weight 20"})
    return stream.getvalue()


def test_a_json_line_holds_object_decision_and_step(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = json.loads(line("json", monkeypatch, "all traffic"))
    assert fields.pop("time")
    assert fields == {
        "level": "INFO",
        "logger": "modelrollout.test",
        "message": "all traffic",
        "object": "ml/fraud",
        "decision": "Promoted",
        "step": "weight 20",
    }


def test_a_text_line_names_the_object(monkeypatch: pytest.MonkeyPatch) -> None:
    assert line("text", monkeypatch, "all traffic").endswith("INFO    ml/fraud: all traffic\n")


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer s3cr3t-t0ken.abc",
        "GET https://user:s3cr3t-t0ken@prometheus:9090/api",
        "password=s3cr3t-t0ken",
        '{"token": "s3cr3t-t0ken"}',
    ],
)
def test_secrets_are_blanked_out(form: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = line(form, monkeypatch, text)
    assert "s3cr3t" not in written
    assert "***" in written


@given(st.text(max_size=200))
def test_redaction_never_fails_and_is_stable(text: str) -> None:
    once = redact(text)
    assert redact(once) == once
