"""What a refusal of the API server means to us: later, read again, or tell a person.

- TransientError: ask again later (401, 429, 5xx, no answer)
  - Expired: the watch has to start from a new list (410)
  - ConflictError: the object changed since it was read (409)
    - NotFound: the object is not there any more (404)
    - AlreadyExists: the object to be created is there (409)
- TerminalError: a person has to act (400, 422 and every other 4xx)
  - Forbidden: we may not, or a quota is used up (403)
  - Unserved: the API server does not know the kind (404)
"""

import json
from typing import Any, Final

from modelrollout.adapters.kubernetes.resources import Call, Resource
from modelrollout.ports import ConflictError, TerminalError, TransientError

LONGEST: Final = 600
"""Characters of the API server's own words that we pass on; it repeats whole objects at times."""


class NotFound(ConflictError):
    """The object is not there."""


class AlreadyExists(ConflictError):
    """The object to be created is there."""


class Expired(TransientError):
    """The resourceVersion asked for is too old to go on from."""


class Forbidden(TerminalError):
    """We may not, or a quota is used up: not the fault of what was asked for."""


class Unserved(TerminalError):
    """The API server does not know the kind."""


def refusal(call: Call, code: int, body: str) -> Exception:
    """Turn an answer that is not a success into the error to raise; the text names object, fault and remedy."""
    status = _status(body)
    words = str(status.get("message") or body.strip() or f"HTTP {code}")[:LONGEST]
    text = f"{call}: {call.verb} refused: {words}"
    if code == 404:
        return _not_found(call.resource, status, text)
    if code == 409:
        return AlreadyExists(text) if status.get("reason") == "AlreadyExists" else ConflictError(text)
    if any(words.startswith(start) for start in _NO_SUCH_OBJECT):
        return TerminalError(f"{text}; correct that field")
    if code in _TRANSIENT or code >= 500:
        return Expired(text) if code == 410 else TransientError(text)
    if code == 403 and "is being terminated" in words:
        # The namespace goes, and the rollout with it: nothing that a person should be told to mend.
        return TransientError(text)
    if code == 403 and "cannot" in words:
        text += f"; allow the operator's service account to {call.verb} {call.resource.plural}"
    return Forbidden(text) if code == 403 else TerminalError(text)


_TRANSIENT: Final = (401, 408, 410, 429)
_NO_SUCH_OBJECT: Final = ("failed to create typed patch object", "failed to convert new object")
"""An apply with an unknown field or a value of the wrong type is answered with 500; no retry mends that."""


def _not_found(resource: Resource, status: dict[str, Any], text: str) -> Exception:
    # Of a missing object the API server says its name; of a kind that it does not serve, nothing.
    if status.get("details", {}).get("name"):
        return NotFound(text)
    remedy = resource.remedy or f"this cluster does not serve {resource.api}"
    return Unserved(f"{resource.kind} ({resource.api}) is unknown to the API server: {remedy}")


def _status(body: str) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("details", {}), dict) else {}
