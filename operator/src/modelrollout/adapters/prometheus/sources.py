"""What a preset's metrics are made of, and what a series of one tells by its labels.

Each source knows the names of its counters and reads the labels of a series into a `Mark`. Counts are always raw
counters; rates and quantiles are formed from them elsewhere.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from modelrollout.adapters.prometheus.answers import Garbage, bound_of, upper_bound, whole

UNITS: Final = {"seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6}
MISSING: Final = "missing"
"""The bin of inputs that had no value; it comes before all others."""


def _compiles(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from None
    return text


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


MetricName = Annotated[str, Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]
BucketName = Annotated[str, Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*_bucket$")]
Names = Annotated[tuple[MetricName, ...], BeforeValidator(_listed)]
BucketNames = Annotated[tuple[BucketName, ...], BeforeValidator(_listed)]
LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
Regex = Annotated[str, AfterValidator(_compiles)]
Matchers = dict[LabelName, Regex]


class Data(BaseModel):
    """Data of a preset file: nothing unknown, nothing changed later."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Mark:
    """What a series counts, by its labels; see core.evidence.windows.Series."""

    bad: bool = False
    le: float | None = None
    part: str = ""
    cohort: int | None = None
    total: bool = False
    """It counts bad requests and good ones; the bad ones are counted apart as well."""
    native: bool = False
    """It is a native histogram."""


class Source(Data):
    """Where one metric comes from."""

    where: Matchers = {}
    """Only series whose labels match are asked for."""
    needs: str = ""
    """What must be switched on before these series exist."""

    compared: ClassVar[bool] = True
    """Whether stable has such series too."""

    @property
    def heft(self) -> int:
        """How many times the data of a plain counter it has."""
        return 1

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the series to ask for."""
        raise NotImplementedError

    @property
    def series(self) -> str:
        """The names, for people."""
        return ", ".join(self.names)

    @property
    def telling(self) -> tuple[str, ...]:
        """Labels that must be there for a series to be read."""
        return ()

    def mark(self, labels: Mapping[str, str]) -> Mark | None:
        """Read the labels of a series; None: it does not count. Raises Garbage where a label is not as it must be."""
        raise NotImplementedError

    def named(self, labels: Mapping[str, str]) -> str:
        """Return the name of a series, which an answer about one name alone may leave out."""
        if len(self.names) == 1:
            return self.names[0]
        name = labels.get("__name__", "")
        if name not in self.names:
            raise Garbage("a series without its name")
        return name


class Errors(Source):
    """Requests and failed ones, in one of three forms.

    `counter` with `bad`: one counter, whose series are bad where all of these labels match. `good` with `failed`:
    counters that exclude each other. `total` with `failed`: counters of which the first ones hold the second too.
    `failedWhere` narrows what counts as failed, for instance to status 5xx. `httpOnly` says why failed gRPC calls are
    not among them.
    """

    counter: Names = ()
    bad: Matchers = {}
    good: Names = ()
    total: Names = ()
    failed: Names = ()
    failed_where: Matchers = Field({}, alias="failedWhere")
    http_only: str = Field("", alias="httpOnly")

    @model_validator(mode="after")
    def _one_form(self) -> "Errors":
        given = {name for name in ("counter", "bad", "good", "total", "failed") if getattr(self, name)}
        if given not in ({"counter", "bad"}, {"good", "failed"}, {"total", "failed"}):
            raise ValueError("give counter and bad, or good and failed, or total and failed")
        if self.failed_where and not self.failed:
            raise ValueError("failedWhere needs failed")
        if len(set(self.names)) != len(self.names):
            raise ValueError("each counter may stand once")
        return self

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the series to ask for."""
        return (*self.counter, *self.good, *self.total, *self.failed)

    @property
    def telling(self) -> tuple[str, ...]:
        """Labels that must be there for a series to be read."""
        return tuple(self.bad)

    def mark(self, labels: Mapping[str, str]) -> Mark | None:
        """Say whether a series counts failed requests."""
        if self.counter:
            return Mark(bad=all_match(self.bad, labels))
        name = self.named(labels)
        if name in self.failed:
            counts = all(re.fullmatch(regex, labels.get(label, "")) for label, regex in self.failed_where.items())
            return Mark(bad=True) if counts else None
        return Mark(total=bool(self.total))


class Latency(Source):
    """Durations: a classic histogram by its bucket series, a native one by its name, or whichever is there."""

    histogram: BucketNames = ()
    native: Names = ()
    unit: Literal["seconds", "milliseconds", "microseconds"] = "seconds"
    """Unit of the buckets' bounds."""

    @model_validator(mode="after")
    def _something(self) -> "Latency":
        if not self.names:
            raise ValueError("give histogram or native, or both")
        return self

    @property
    def heft(self) -> int:
        """How many times the data of a plain counter it has."""
        return 100 if self.native else 20

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the series to ask for."""
        return (*self.histogram, *self.native)

    @property
    def telling(self) -> tuple[str, ...]:
        """Labels that must be there for a series to be read."""
        return () if self.native else ("le",)

    @property
    def scale(self) -> float:
        """Seconds in one unit of the bounds."""
        return UNITS[self.unit]

    def mark(self, labels: Mapping[str, str]) -> Mark | None:
        """Return the bucket that a series counts, in seconds."""
        if self.named(labels) in self.native:
            return Mark(native=True)
        return Mark(le=upper_bound(labels.get("le"), self.scale))


class Predictions(Source):
    """A classic histogram of what the model predicts, by its bucket series."""

    histogram: BucketNames = Field(min_length=1)

    @property
    def heft(self) -> int:
        """How many times the data of a plain counter it has."""
        return 20

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the series to ask for."""
        return self.histogram

    @property
    def telling(self) -> tuple[str, ...]:
        """Labels that must be there for a series to be read."""
        return ("le",)

    def mark(self, labels: Mapping[str, str]) -> Mark | None:
        """Return the bucket that a series counts; predictions may be negative."""
        return Mark(le=bound_of(labels.get("le")))


class Inputs(Source):
    """Counters of input values, one for each feature and bin."""

    counter: Names = Field(min_length=1)
    feature: LabelName
    bin: LabelName
    """Its values are whole numbers that order the bins, and `missing`."""

    @property
    def heft(self) -> int:
        """How many times the data of a plain counter it has."""
        return 200

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the series to ask for."""
        return self.counter

    @property
    def telling(self) -> tuple[str, ...]:
        """Labels that must be there for a series to be read."""
        return (self.feature, self.bin)

    def mark(self, labels: Mapping[str, str]) -> Mark | None:
        """Return the feature and the bin that a series counts; the bin of missing values is -1."""
        text = label_of(labels, self.bin)
        return Mark(part=label_of(labels, self.feature), le=-1.0 if text == MISSING else float(whole(text, self.bin)))


class Quality(Source):
    """Predictions whose truth came later: right and wrong ones, counted by the cohort that they were made in."""

    counter: Names = Field(min_length=1)
    bad: Matchers = Field(min_length=1)
    cohort: LabelName
    """When the cohort of predictions began; Unix seconds."""

    @property
    def heft(self) -> int:
        """How many times the data of a plain counter it has."""
        return 100

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the series to ask for."""
        return self.counter

    @property
    def telling(self) -> tuple[str, ...]:
        """Labels that must be there for a series to be read."""
        return (*self.bad, self.cohort)

    def mark(self, labels: Mapping[str, str]) -> Mark | None:
        """Return the cohort of a series, and whether it counts wrong predictions."""
        return Mark(bad=all_match(self.bad, labels), cohort=whole(label_of(labels, self.cohort), self.cohort))


class Agreement(Source):
    """Pairs of answers to the same request, kept under the candidate's name alone; bad ones disagree."""

    counter: Names = Field(min_length=1)
    bad: Matchers = Field(min_length=1)

    compared: ClassVar[bool] = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the series to ask for."""
        return self.counter

    @property
    def telling(self) -> tuple[str, ...]:
        """Labels that must be there for a series to be read."""
        return tuple(self.bad)

    def mark(self, labels: Mapping[str, str]) -> Mark | None:
        """Say whether a series counts disagreements."""
        return Mark(bad=all_match(self.bad, labels))


def all_match(matchers: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Say whether all labels match. Raises Garbage where one is missing."""
    # Taking it for good would hide every failure wherever relabelling has dropped the label.
    values = {label: label_of(labels, label) for label in matchers}
    return all(re.fullmatch(regex, values[label]) for label, regex in matchers.items())


def label_of(labels: Mapping[str, str], label: str) -> str:
    """Return a label's value. Raises Garbage where there is none."""
    value = labels.get(label)
    if not value:
        raise Garbage(f"a series without the label {label}")
    return value
