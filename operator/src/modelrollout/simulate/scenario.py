"""The scenario file: what the world does while the operator watches."""

import re
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

from modelrollout.simulate.curves import (
    NumberCurve,
    Positive,
    PositiveCurve,
    RateCurve,
    Seconds,
    SecondsCurve,
    Share,
    ShareCurve,
    SomeSeconds,
    level,
)

LONGEST: Final = 7 * 86_400
MAX_WINDOWS: Final = 50_000


class InvalidScenario(ValueError):
    """A scenario that cannot be played; the text names field, fault and remedy."""


class Part(BaseModel):
    """A part of the file; unknown keys are refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        arbitrary_types_allowed=True,
    )


class Load(Part):
    """Requests of both versions together."""

    rps: RateCurve = Field(description="Requests a second.")


class Latency(Part):
    """Lognormal response times."""

    median: SecondsCurve = level(0.02)
    sigma: PositiveCurve = level(0.6)


class Version(Part):
    """How one version answers."""

    error_rate: ShareCurve = level(0.001)
    latency: Latency = Latency()
    pods: int | None = Field(None, ge=1, le=1000)


class Spread(Part):
    """Normally distributed predictions of one version."""

    mean: NumberCurve = level(0.0)
    sd: PositiveCurve = level(1.0)


class Predictions(Part):
    """What a histogram of predictions sees."""

    stable: Spread = Spread()
    candidate: Spread = Spread()


class Shadow(Part):
    """What a comparer of both versions' answers sees."""

    disagreement: ShareCurve = level(0.0)


class Check(Part):
    """What comes of a gate. For one that asks a person, fail is an abort, and error is no answer."""

    result: Literal["pass", "fail", "error", "never"] = "pass"
    after: Seconds = 0.0


def _check(raw: object) -> object:
    return {"result": raw} if isinstance(raw, str) else raw


Target = Literal["stable", "candidate", "both"]


class _Event(Part):
    at: Seconds

    @property
    def name(self) -> str:
        return str(getattr(self, "kind", ""))


class Incident(_Event):
    """Something that makes requests fail or slow for a while, whatever the version does by itself."""

    kind: Literal["incident"]
    duration: SomeSeconds = Field(alias="for")
    on: Target = "both"
    error_rate: Share = 0.0
    latency_factor: Positive = 1.0


class PrometheusDown(_Event):
    """Prometheus neither scrapes nor answers."""

    kind: Literal["prometheusDown"]
    duration: SomeSeconds = Field(alias="for")


class ScrapeGap(_Event):
    """Scrapes of these pods fail; Prometheus itself answers."""

    kind: Literal["scrapeGap"]
    duration: SomeSeconds = Field(alias="for")
    on: Target = "both"


class PodRestart(_Event):
    """The container of one pod of each version named starts anew: its counters start again at 0."""

    kind: Literal["podRestart"]
    on: Target = "candidate"


class OperatorRestart(_Event):
    """The operator forgets everything that is not in the saved status."""

    kind: Literal["operatorRestart"]


class NewTemplate(_Event):
    """Another new version is applied."""

    kind: Literal["newTemplate"]
    candidate: Version = Version()


Event = Annotated[
    Incident | PrometheusDown | ScrapeGap | PodRestart | OperatorRestart | NewTemplate, Field(discriminator="kind")
]


class Scenario(Part):
    """One file, with defaults for everything but the traffic.

    What is left out of `candidate` (and of the candidate of a `newTemplate`) is as in `stable`: a new version
    differs from the old one only where the file says so.
    """

    name: str = Field("scenario", min_length=1, max_length=200)
    horizon: SomeSeconds = 7200.0
    scrape_interval: SomeSeconds = 15.0
    traffic: Load
    stable: Version = Version()
    candidate: Version = Version()
    cluster_size: Positive = 1.0
    pod_start: Seconds = 20.0
    predictions: Predictions = Predictions()
    shadow: Shadow = Shadow()
    matched: Share | None = None
    """Share of all requests that a `match` step takes; what the step itself expects when left out."""
    gates: dict[str, Annotated[Check, BeforeValidator(_check)]] = {}
    """What comes of each gate, by its name; those left out pass at once."""
    events: tuple[Event, ...] = ()

    @field_validator("scrape_interval")
    @classmethod
    def _whole(cls, value: float) -> float:
        if value != int(value) or not 1 <= value <= 300:
            raise ValueError("must be whole seconds from 1s to 5m: it is the window of evidence too")
        return value

    @field_validator("cluster_size")
    @classmethod
    def _one_or_more(cls, value: float) -> float:
        if value < 1.0:
            raise ValueError("must be 1 or more: a batch has at least one error")
        return value

    @model_validator(mode="after")
    def _bounded(self) -> "Scenario":
        if self.horizon > LONGEST or self.horizon / self.scrape_interval > MAX_WINDOWS:
            raise ValueError(f"horizon must be at most 168h and {MAX_WINDOWS} scrapes; shorten it")
        return self

    @property
    def window(self) -> int:
        """Seconds of a window."""
        return int(self.scrape_interval)


class _Loader(yaml.SafeLoader):
    """YAML in which `on` is the word and not a truth value, as in YAML 1.2: events are `on` a version."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("true|false"), list("tf"))


def load(text: str, name: str) -> Scenario:
    """Read a scenario; `name` is what it is called when the file does not say.

    Raises InvalidScenario naming every field that is wrong.
    """
    try:
        raw = yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise InvalidScenario(f"not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise InvalidScenario("must be a mapping with at least `traffic: {rps: 100}`")
    try:
        return Scenario.model_validate({"name": name, **_completed(raw)})
    except ValidationError as error:
        faults = (_words(fault["loc"], fault["type"], fault["msg"]) for fault in error.errors())
        raise InvalidScenario("; ".join(dict.fromkeys(faults))) from None


def _completed(raw: dict[str, Any]) -> dict[str, Any]:
    """Fill what new versions leave out from stable."""
    stable = raw.get("stable")
    if not isinstance(stable, dict):
        return raw
    result = dict(raw)
    if isinstance(raw.get("candidate", {}), dict):
        result["candidate"] = _over(stable, raw.get("candidate", {}))
    if isinstance(raw.get("events"), list):
        result["events"] = [_event(stable, event) for event in raw["events"]]
    return result


def _event(stable: dict[str, Any], event: object) -> object:
    if not isinstance(event, dict) or event.get("kind") != "newTemplate":
        return event
    candidate = event.get("candidate", {})
    return {**event, "candidate": _over(stable, candidate)} if isinstance(candidate, dict) else event


def _over(stable: dict[str, Any], version: dict[str, Any]) -> dict[str, Any]:
    result = {key: value for key, value in stable.items() if key != "pods"} | version
    old, new = stable.get("latency"), version.get("latency")
    if isinstance(old, dict) and isinstance(new, dict):
        result["latency"] = {**old, **new}
    return result


def _words(place: tuple[int | str, ...], kind: str, message: str) -> str:
    """Say what is wrong and where, without the names that pydantic gives to alternatives."""
    parts: list[str] = []
    for index, part in enumerate(place):
        if isinstance(part, int):
            parts.append(f"[{part}]")
        elif not (index == 2 and place[0] == "events"):
            parts.append(f".{part}")
    path = "".join(parts).removeprefix(".") or "scenario"
    if kind == "extra_forbidden":
        return f"{path}: unknown key; take it out"
    if kind == "missing":
        return f"{path}: is required"
    if kind in ("model_type", "model_attributes_type"):
        return f"{path}: must be a mapping"
    return f"{path}: {message.removeprefix('Value error, ')}"
