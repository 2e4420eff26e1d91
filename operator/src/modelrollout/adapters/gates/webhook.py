"""`webhook`: an HTTP hook is asked whether to go on. What it says counts; that it does not answer never does."""

import base64
import hashlib
import hmac
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx

from modelrollout.adapters.gates.addresses import Allowed, NotAllowed
from modelrollout.adapters.gates.asking import Answer, NoAnswer, NoConnection, Question, ask, client
from modelrollout.adapters.gates.case import Case, Look
from modelrollout.adapters.gates.verdict import Said, one_line, said
from modelrollout.adapters.kubernetes.errors import NotFound
from modelrollout.adapters.kubernetes.fields import items, mapping
from modelrollout.adapters.kubernetes.resources import DEPLOYMENTS, SECRETS
from modelrollout.api.gates import SecretKey, WebhookGate
from modelrollout.api.status import GateState
from modelrollout.api.units import parse_duration
from modelrollout.core.revision import object_name
from modelrollout.ports import TerminalError

SIGNATURE: Final = "X-Modelrollout-Signature"
KEY: Final = "Idempotency-Key"
MOST_BYTES: Final = 65536
SHOWN: Final = 120
"""Characters of an answer that is no verdict."""
_LATER: Final = frozenset({408, 421, 425, 429})
"""Refusals that speak of the moment, not of the model."""
_NOT_THERE: Final = "knows nothing at this URL; correct it"
_NOT_LET_IN: Final = "does not let the operator in; let it, or sign the body (secret)"
_REFUSALS: Final[Mapping[int, str]] = {
    401: _NOT_LET_IN,
    403: _NOT_LET_IN,
    404: _NOT_THERE,
    405: "takes no POST at this URL; correct it",
    407: "is behind a proxy that wants a credential; name a URL that needs none",
    410: _NOT_THERE,
}
_NO_VERDICT: Final = 'refuses the question; where the model is not to go on, answer with {"verdict": "Fail"}'


class WebhookCheck:
    """Asks a hook until it says Pass or Fail; the same identity goes with every question."""

    def __init__(self, case: Case, gate: WebhookGate, allow: Sequence[str]) -> None:
        self._case = case
        self._gate = gate
        self._allowed = Allowed(allow)
        self._failures = 0
        self._body: bytes | None = None

    async def begin(self) -> None:
        """Look at the URL. TerminalError where it may never be asked."""
        try:
            self._allowed.check(self._gate.url)
        except NotAllowed as error:
            raise TerminalError(self._case.wrong("url", str(error))) from None

    async def look(self) -> Look:
        """Ask once."""
        self._body = self._body or await self._question()
        headers = {"Content-Type": "application/json", KEY: self._case.ident, **await self._signed(self._body)}
        question = Question("POST", self._gate.url, self._body, headers)
        try:
            answer = await self._ask(question)
        except NotAllowed as error:
            return Look(GateState.ERROR, self._case.wrong("url", str(error)), again=self._case.pace.error)
        except OSError:
            return self._failed("its host name cannot be resolved")
        except (NoConnection, NoAnswer) as error:
            return self._failed(str(error))
        return self._read(answer)

    async def stop(self) -> None:
        """Nothing is left of a question."""

    async def _ask(self, question: Question) -> Answer:
        """Ask at the first address that can be reached."""
        seconds = parse_duration(self._gate.timeout).total_seconds()
        addresses = await self._allowed.addresses(question.url) or [""]
        async with client() as http:
            for address in addresses[:-1]:
                try:
                    return await ask(http, question, seconds, MOST_BYTES, address)
                except NoConnection:
                    continue
            return await ask(http, question, seconds, MOST_BYTES, addresses[-1])

    def _read(self, answer: Answer) -> Look:
        code = answer.status
        if code in _LATER or code >= 500:
            return self._failed(f"HTTP {code}", _retry_after(answer))
        self._failures = 0
        found = said(answer.content)
        if code >= 400:
            return self._refused(answer, found)
        if code >= 300:
            return self._wrong(code, "redirects, which is not followed; name the URL that it leads to")
        if code == httpx.codes.ACCEPTED or (found is not None and found.verdict == "Wait"):
            return self._wait(found or Said("Wait"), _retry_after(answer))
        if found is None and answer.content.strip():
            fault = 'answers with something that is no verdict; answer with {"verdict": "Pass"}, or an empty body'
            return self._wrong(code, fault)
        found = found or Said("Pass")
        passed = found.verdict == "Pass"
        message = found.message or ("" if passed else "the hook says Fail")
        return Look(GateState.PASSED if passed else GateState.FAILED, message, found.numbers)

    def _refused(self, answer: Answer, found: Said | None) -> Look:
        """Read a refusal: only one that says Fail speaks of the model, any other of the URL, the caller or a proxy."""
        code = answer.status
        if found is not None and found.verdict == "Fail":
            return Look(GateState.FAILED, f"HTTP {code}: {found.message or 'the hook says Fail'}", found.numbers)
        text = one_line(answer.content.decode(errors="replace"), SHOWN)
        return self._wrong(code, _REFUSALS.get(code, _NO_VERDICT), text)

    def _wait(self, found: Said, again: float | None) -> Look:
        pace = self._case.pace
        # Never at once, whatever a hook asks for: it would be asked without a pause.
        again = pace.wait if again is None else min(max(again, pace.first), pace.longest_wait)
        return Look(GateState.RUNNING, found.message, found.numbers, again)

    def _wrong(self, code: int, what: str, text: str = "") -> Look:
        words = self._case.wrong("url", f"the hook {what} (HTTP {code}{f': {text}' if text else ''})")
        return Look(GateState.ERROR, words, again=self._case.pace.error)

    def _failed(self, why: str, again: float | None = None) -> Look:
        """Count a try that brought no verdict; after the last one it is an error, and tried anew later."""
        self._failures += 1
        pace = self._case.pace
        if self._failures > self._gate.retries:
            tries = "try" if self._failures == 1 else "tries"
            later = min(max(again or 0.0, pace.error), max(pace.longest_wait, pace.error))
            return Look(GateState.ERROR, f"the hook: {why}, after {self._gate.retries + 1} {tries}", again=later)
        wait = pace.after(self._failures)
        return Look(GateState.RUNNING, "", again=wait if again is None else min(max(again, wait), pace.longest_wait))

    async def _question(self) -> bytes:
        case, gate = self._case, self._case.gate
        content = {
            "id": case.ident,
            "gate": gate.gate.title,
            "rollout": case.name,
            "namespace": case.namespace,
            "stable": gate.stable,
            "candidate": gate.candidate,
            "images": {"stable": await self._images(gate.stable), "candidate": await self._images(gate.candidate)},
            "step": gate.step,
            "attempt": gate.attempt,
            "urls": case.urls,
        }
        return json.dumps(content).encode()

    async def _images(self, revision: str) -> list[str]:
        """Return the images of a revision's containers; none where it is gone."""
        case = self._case
        try:
            raw: Any = await case.api.get(DEPLOYMENTS, case.namespace, object_name(case.name, revision))
        except NotFound:
            return []
        pod = mapping(mapping(mapping(raw, "spec"), "template"), "spec")
        return [str(container.get("image")) for container in items(pod, "containers")]

    async def _signed(self, body: bytes) -> dict[str, str]:
        """Return the header that proves who asks; the key is read for each question, and kept nowhere."""
        if self._gate.secret is None:
            return {}
        key = await self._key(self._gate.secret)
        return {SIGNATURE: "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()}

    async def _key(self, secret: SecretKey) -> bytes:
        what = f"Secret {self._case.namespace}/{secret.name}"
        try:
            raw = await self._case.api.get(SECRETS, self._case.namespace, secret.name)
        except NotFound:
            raise TerminalError(self._case.wrong("secret.name", f"there is no {what}; create it")) from None
        try:
            key = base64.b64decode(str(mapping(raw, "data").get(secret.key, "")), validate=True)
        except ValueError:
            key = b""
        if not key:
            raise TerminalError(self._case.wrong("secret.key", f"{what} has nothing under {secret.key}; add it"))
        return key


def _retry_after(answer: Answer) -> float | None:
    """Return how many seconds a hook asks to be left alone; None where it does not."""
    text = answer.headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return None
        seconds = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None
