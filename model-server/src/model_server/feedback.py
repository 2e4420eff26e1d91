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


def take(body: bytes, labels: Labels, *, forwarded: bool) -> tuple[dict[str, int], list[Label]]:
    """Count the labels of a body, one object or a list of them; return how many were joined and so on.

    Returned besides are labels of predictions that are not known here; they are counted by `settle`, or by the pod
    that forwarded them. Raises FeedbackError.
    """
    try:
        found = msgspec.json.decode(body, type=Label | list[Label])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        labels.count("invalid", 1)
        example = '{"id": "<X-Request-Id of the prediction>", "label": 1, "row": 0}'
        raise FeedbackError(f"{error}; send {example}, or a list of such") from None
    given = found if isinstance(found, list) else [found]
    if len(given) > MAX_LABELS:
        raise FeedbackError(f"send at most {MAX_LABELS} labels at once, got {len(given)}")
    counts: dict[str, int] = dict.fromkeys(OUTCOMES, 0)
    unknown = []
    for each in given:
        outcome = labels.label(each.id, each.row, each.label)
        counts[outcome] += 1
        if outcome == "unknown":
            unknown.append(each)
    if forwarded:
        unknown = []
    return counts, unknown


def settle(counts: dict[str, int], unknown: list[Label], labels: Labels, elsewhere: dict[str, int] | None) -> None:
    """Add what other pods made of labels that were unknown here, None when there was nobody to ask."""
    if elsewhere:
        for outcome, count in elsewhere.items():
            counts[outcome] += count
        counts["unknown"] -= len(unknown)
    labels.count("unknown", elsewhere["unknown"] if elsewhere else len(unknown))
