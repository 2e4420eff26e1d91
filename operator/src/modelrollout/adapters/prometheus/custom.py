"""Queries that users write: placeholders filled in so that no value can change what is asked."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from modelrollout.adapters.prometheus.answers import Garbage, gauge, labels_of, values_of
from modelrollout.adapters.prometheus.client import PrometheusClient, QueryError
from modelrollout.adapters.prometheus.patterns import Subject, exact
from modelrollout.adapters.prometheus.queries import RangeQuery
from modelrollout.api.metrics import PLACEHOLDERS, Metric
from modelrollout.core.evidence.windows import Reading, Series

_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")
_TOKEN: Final = re.compile(
    r"""(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)|(?P<comment>\#[^\n]*)|(?P<open>["'`])|(?P<code>[^"'`\#]+)""",
    re.DOTALL,
)
_UNSAFE: Final = re.compile(r"""["'\\\x00-\x1f\x7f]""")


class QueryTextError(ValueError):
    """A query that cannot be asked; the text names the metric and says why."""


@dataclass(frozen=True, slots=True)
class _String:
    """A string literal with placeholders in it."""

    text: str
    regex: bool

    def filled(self, values: Mapping[str, str]) -> str:
        quote = self.text[0]

        def value(found: re.Match[str]) -> str:
            written = exact(values[found[1]]) if self.regex else values[found[1]]
            return written.replace("`", "") if quote == "`" else _UNSAFE.sub(_escape, written)

        return quote + _PLACEHOLDER.sub(value, self.text[1:-1]) + quote


class Query:
    """A query with placeholders within string literals. Raises QueryTextError where one stands elsewhere."""

    def __init__(self, metric: str, text: str) -> None:
        self.metric = metric
        self._parts = list(self._read(text))

    def filled(self, side: Subject, stable: str, candidate: str) -> str:
        """Return the PromQL about one revision; `stable` and `candidate` are both sides' revisions."""
        values = {
            "namespace": side.namespace,
            "name": side.route,
            "service": side.service,
            "revision": side.revision,
            "stable": stable,
            "candidate": candidate,
        }
        return "".join(part.filled(values) if isinstance(part, _String) else part for part in self._parts)

    def series(self, entries: Sequence[object], position: Mapping[float, int]) -> tuple[Series, ...]:
        """Return the one series of an answer, none where there is none. Raises Garbage for several."""
        if len(entries) > 1:
            raise Garbage(f"{len(entries)} series; aggregate it to one, for instance with sum(...)")
        for entry in entries:
            labels_of(entry)
            values = values_of(entry, position, gauge)
            if any(value is not None for value in values):
                return (Series(False, None, "", values),)
        return ()

    def _read(self, text: str) -> Iterator[str | _String]:
        code = ""
        for token in _TOKEN.finditer(text):
            if token["open"]:
                raise self._fault("a string literal does not end")
            if token["comment"]:
                continue
            if token["string"]:
                known = self._known(token["string"])
                part = _String(token["string"], code.rstrip().endswith("~"))
                yield part if known else token["string"]
                continue
            code = token["code"]
            outside = _PLACEHOLDER.search(code)
            if outside and outside[1] in PLACEHOLDERS:
                raise self._fault(f'{outside[0]} stands outside of a string literal; write it as in x="{outside[0]}"')
            yield code

    def _known(self, string: str) -> bool:
        names = _PLACEHOLDER.findall(string)
        for name in names:
            if name not in PLACEHOLDERS:
                raise self._fault(f"unknown placeholder {{{name}}}; known: {', '.join(PLACEHOLDERS)}")
        return bool(names)

    def _fault(self, text: str) -> QueryTextError:
        return QueryTextError(f"spec.analysis.metrics: the query of {self.metric!r} cannot be asked: {text}")


def _escape(found: re.Match[str]) -> str:
    """Write a character so that it is fine within either kind of quotes."""
    return f"\\x{ord(found[0]):02x}"


def read_own(client: PrometheusClient, metric: Metric, query: RangeQuery, deadline: float) -> Reading:
    """Ask a user's query for one rollout, for both sides where it is compared.

    Raises QueryError, QueryTextError, and Garbage for what cannot be one value an instant.
    """
    (ask,), template = query.asks, Query(metric.name, metric.query or "")
    position = {float(instant): index for index, instant in enumerate(query.instants)}
    if ask.stable is None or ask.candidate is None:
        return Reading()

    def side(subject: Subject) -> tuple[Series, ...]:
        text = template.filled(subject, *(one.revision for one in ask.subjects))
        try:
            entries = client.query_range(text, query.start, query.end, query.step, deadline=deadline)
        except QueryError as error:
            raise QueryError(error.result, f"query of {metric.name!r}: {error}") from None
        return template.series(entries, position)

    stable = side(ask.stable) if metric.compared else ()
    return Reading(query.instants, stable, side(ask.candidate))
