"""Labels that come back: `POST /feedback`."""

import msgspec

from model_server.signals.labels import OUTCOMES, Labels

MAX_LABELS = 10_000


class Label(msgspec.Struct):
    """The truth about one row of an earlier request; `id` is that request's X-Request-Id."""

    id: str
    label: float
    row: int = 0


class FeedbackError(ValueError):
    """The body holds no labels that can be read."""


def take(body: bytes, labels: Labels) -> dict[str, int]:
    """Count the labels of a body, one object or a list of them, and return how many were joined, unknown and so on.

    Raises FeedbackError.
    """
    try:
        found = msgspec.json.decode(body, type=Label | list[Label])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        labels.invalid()
        example = '{"id": "<X-Request-Id of the prediction>", "label": 1, "row": 0}'
        raise FeedbackError(f"{error}; send {example}, or a list of such") from None
    given = found if isinstance(found, list) else [found]
    if len(given) > MAX_LABELS:
        raise FeedbackError(f"send at most {MAX_LABELS} labels at once, got {len(given)}")
    counts: dict[str, int] = dict.fromkeys(OUTCOMES, 0)
    for each in given:
        counts[labels.label(each.id, each.row, each.label)] += 1
    return counts
