"""The signals that gate a rollout, as a user writes them under `spec.analysis.metrics`."""

import re
from typing import Annotated, Final

from pydantic import Field, field_validator, model_validator

from modelrollout.api.base import ApiModel
from modelrollout.api.patterns import DNS_LABEL, LABEL_NAME
from modelrollout.api.units import Percent, parse_percent, percent_between

TAKES: Final[dict[str, tuple[str, ...]]] = {
    "errors": ("max_increase", "slices"),
    "latency": ("max_increase", "slices"),
    "predictions": ("max_distance",),
    "inputs": ("max_distance",),
    "agreement": ("min_agreement",),
    "quality": ("max_drop", "slices"),
    "slo": ("max_error_rate",),
}
"""The built-in metrics, and what each takes beside name, weight and preset."""
RESERVED: Final = ("guard", "traffic")
"""Names of verdicts that belong to no metric."""
QUERIED: Final = ("query", "max", "min", "failures", "max_increase")
"""What a metric of any other name takes: it asks a query of its own."""
QUERIED_ALONE: Final = ("query", "max", "min", "failures")
"""Those of them that no built-in metric takes."""
PLACEHOLDERS: Final = ("namespace", "name", "service", "revision", "stable", "candidate")
"""What a query may hold in braces; with `service` or `revision` it is asked for each revision, and compared."""


class MaxIncrease(ApiModel):
    """Harm that is tolerated: worse than stable by less than this is not a failure."""

    absolute: Percent | None = Field(
        None, description="Percentage points above stable; 0.02% for errors when left out. Not for latency."
    )
    relative: Percent | None = Field(None, description="Share of stable's own value above it; 25% when left out.")


class Slices(ApiModel):
    """Parts of the traffic that are judged each on its own; the worst of them counts."""

    label: str = Field(max_length=63, pattern=LABEL_NAME, description="Label of the counters that tells the slice.")
    values: list[Annotated[str, Field(min_length=1, max_length=63)]] = Field(
        min_length=1, max_length=6, description="Its values; each is tested with an equal share of the metric's weight."
    )

    @field_validator("values")
    @classmethod
    def _once(cls, values: list[str]) -> list[str]:
        if len(set(values)) != len(values):
            raise ValueError("each value may stand once")
        return values


class Metric(ApiModel):
    """One signal that gates the rollout: a built-in one, or a query of any other name."""

    name: str = Field(
        min_length=1,
        max_length=40,
        pattern=DNS_LABEL,
        description="errors, latency, predictions, inputs, agreement, quality, slo; or, with query, any other name.",
    )
    max_increase: MaxIncrease | None = Field(
        None, description="errors, latency, query: tolerated increase over stable."
    )
    max_distance: float | None = Field(
        None,
        gt=0.0,
        lt=1.0,
        description="predictions, inputs: tolerated distance of the distributions (Kolmogorov-Smirnov);"
        " 0.05 and 0.1 when left out.",
    )
    min_agreement: Annotated[Percent, percent_between(0, 100)] | None = Field(
        None, description="agreement: least share of equal answers of candidate and stable; 98% when left out."
    )
    max_drop: Annotated[Percent, percent_between(0, 100)] | None = Field(
        None, description="quality: tolerated drop of the share of right predictions; 1% when left out."
    )
    max_error_rate: Annotated[Percent, percent_between(0, 100)] | None = Field(
        None, description="slo: highest error rate of both revisions together; needed."
    )
    query: str | None = Field(
        None,
        min_length=1,
        max_length=2000,
        description="PromQL; {namespace} {name} {service} {revision} {stable} {candidate} are filled in, within"
        " string literals. With {service} or {revision} it is asked for both revisions, and compared.",
    )
    max: float | None = Field(None, description="query: highest value that is fine.")
    min: float | None = Field(None, description="query: lowest value that is fine.")
    failures: int | None = Field(
        None, ge=1, le=1000, description="query with max or min: bad windows in a row that fail it; 3 when left out."
    )
    slices: Slices | None = Field(None, description="errors, latency, quality: judge listed slices each on its own.")
    weight: float | None = Field(
        None,
        gt=0.0,
        le=1000.0,
        description="Share of falseRollback relative to the other metrics; 3 for errors, 1 for others when left out.",
    )
    preset: str | None = Field(
        None, min_length=1, max_length=63, pattern=DNS_LABEL, description="Where it comes from; analysis.preset else."
    )

    @model_validator(mode="after")
    def _takes(self) -> "Metric":
        allowed = TAKES.get(self.name, QUERIED)
        known = {field for fields in (*TAKES.values(), QUERIED) for field in fields}
        for field in sorted(known - set(allowed)):
            if getattr(self, field) is not None:
                takes = ", ".join(wire(one) for one in allowed)
                raise ValueError(f"{self.name} does not take {wire(field)}; it takes {takes}")
        if self.name == "slo" and self.max_error_rate is None:
            raise ValueError("slo needs maxErrorRate, for instance 5%")
        if self.name == "latency" and self.max_increase and self.max_increase.absolute is not None:
            raise ValueError("latency does not take maxIncrease.absolute; a factor on the time is maxIncrease.relative")
        if self.name not in TAKES:
            self._asks()
        return self

    def _asks(self) -> None:
        if self.name in RESERVED:
            raise ValueError(f"{self.name} is the name of a verdict of the operator's own; choose another one")
        builtin = ", ".join(TAKES)
        if self.query is None:
            raise ValueError(f"{self.name} is no built-in metric ({builtin}); a metric of your own needs query")
        if self.preset is not None:
            raise ValueError("a query has no preset; it names its series itself")
        unknown = [name for name in re.findall(r"\{([a-z]+)\}", self.query) if name not in PLACEHOLDERS]
        if unknown:
            raise ValueError(f"query: unknown placeholder {{{unknown[0]}}}; known: {', '.join(PLACEHOLDERS)}")
        limits = self.max is not None or self.min is not None
        if self.compared and (limits or self.failures is not None):
            raise ValueError("a query with {service} or {revision} is compared; it takes maxIncrease, not max or min")
        if not self.compared and (not limits or self.max_increase is not None):
            raise ValueError("a query without {service} or {revision} needs max or min, and takes no maxIncrease")
        if self.max is not None and self.min is not None and self.min > self.max:
            raise ValueError("min must not be above max")

    @property
    def compared(self) -> bool:
        """Whether a query is asked for both revisions."""
        return self.query is not None and ("{service}" in self.query or "{revision}" in self.query)

    @property
    def tolerated(self) -> tuple[float, float]:
        """Return the tolerated increase: share of stable's own value, and points above it."""
        increase = self.max_increase or MaxIncrease()
        absolute = "0.02%" if self.name == "errors" else "0%"
        return parse_percent(increase.relative or "25%"), parse_percent(increase.absolute or absolute)


def wire(field: str) -> str:
    """Return a field's name as users write it."""
    head, *rest = field.split("_")
    return head + "".join(word.capitalize() for word in rest)
