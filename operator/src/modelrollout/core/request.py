"""What people ask of a rollout, as it travels in the resource's annotation."""

import json
from typing import Any, Final, Literal

from modelrollout.core.observed import Request

Action = Literal["promote", "abort", "pause", "resume", "retry", "undo", "approve"]
ACTIONS: Final[tuple[Action, ...]] = ("promote", "abort", "pause", "resume", "retry", "undo", "approve")
_MAX_LENGTH: Final = 2048


def parse_request(text: str | None) -> Request | None:
    """Read the annotation: JSON as the CLI writes it, or by hand `promote`, or `promote@again` to ask once more.

    Never raises: what cannot be understood becomes a request with its problem in words, so that it is reported once.
    """
    if not text:
        return None
    text = text.strip()
    if len(text) > _MAX_LENGTH:
        return Request(id=text[:63], action="pause", problem=f"request is longer than {_MAX_LENGTH} characters")
    if not text.startswith("{"):
        return _checked(text, {"action": text.partition("@")[0]})
    try:
        fields = json.loads(text)
    except ValueError:
        return Request(id=text[:63], action="pause", problem="request is neither an action nor JSON")
    if not isinstance(fields, dict):
        return Request(id=text[:63], action="pause", problem="request is JSON, but no object")
    return _checked(str(fields.get("id") or text)[:63], fields)


def _checked(ident: str, fields: dict[str, Any]) -> Request:
    asked = fields.get("action")
    action: Action | None = next((known for known in ACTIONS if known == asked), None)
    if action is None:
        known = ", ".join(ACTIONS)
        return Request(id=ident[:63], action="pause", problem=f"unknown action {str(asked)[:40]!r}; known: {known}")
    to = fields.get("to")
    return Request(
        id=ident[:63],
        action=action,
        by=str(fields.get("by") or "")[:128],
        full=fields.get("full") is True,
        to=str(to)[:63] if to else None,
    )
