"""Presets: where request metrics come from, as data.

A preset is one YAML file. Ours lie in `modelrollout/presets`; another package adds its own with an entry point in
the group `modelrollout.presets` that names a package holding `*.yaml`.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, ClassVar, Final, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from modelrollout.adapters.prometheus.patterns import Pattern

GROUP: Final = "modelrollout.presets"
UNITS: Final = {"seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6}

_log = logging.getLogger(__name__)


def _compiles(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from None
    return text


def _is_pattern(text: str) -> str:
    Pattern(text)
    return text


MetricName = Annotated[str, Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]
LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
Regex = Annotated[str, AfterValidator(_compiles)]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Errors(_Data):
    """A counter of requests, each counted once."""

    counter: MetricName
    bad: dict[LabelName, Regex] = Field(min_length=1)
    """A series whose labels all match counts failed requests; every series must have these labels."""
    where: dict[LabelName, Regex] = {}
    """Only series whose labels match are asked for."""

    heft: ClassVar[int] = 1

    @property
    def series(self) -> str:
        """The name to ask for."""
        return self.counter


class Latency(_Data):
    """A classic histogram of durations, by its bucket series."""

    histogram: Annotated[str, Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*_bucket$")]
    unit: Literal["seconds", "milliseconds", "microseconds"] = "seconds"
    """Unit of `le`."""
    where: dict[LabelName, Regex] = {}

    heft: ClassVar[int] = 20
    """A histogram has many times the series of a counter."""

    @property
    def series(self) -> str:
        """The name to ask for."""
        return self.histogram

    @property
    def scale(self) -> float:
        """Seconds in one unit of `le`."""
        return UNITS[self.unit]


class PresetError(ValueError):
    """A preset that cannot be used; the text says which ones can."""


class Preset(_Data):
    """How to find the requests of each revision in one kind of metrics."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
    about: str = Field(min_length=1)
    labels: dict[LabelName, Annotated[str, AfterValidator(_is_pattern)]]
    """Labels by which a series belongs to a revision, with the form of their values."""
    source: LabelName
    """The label that tells who counted: the scraped gateway instance or pod."""
    errors: Errors | None = None
    latency: Latency | None = None

    @model_validator(mode="after")
    def _tells_revisions(self) -> "Preset":
        if sum(pattern.identifies for pattern in self.patterns.values()) != 1:
            raise ValueError("labels: exactly one of them must hold {service} or {revision}")
        return self

    @cached_property
    def patterns(self) -> dict[str, Pattern]:
        """The labels' patterns; the label that identifies the revision comes first."""
        made = {label: Pattern(text) for label, text in self.labels.items()}
        return dict(sorted(made.items(), key=lambda item: not item[1].identifies))

    def source_of(self, metric: str) -> Errors | Latency:
        """Return where a metric of the resource comes from; raises PresetError where this preset has none."""
        sources: dict[str, Errors | Latency | None] = {"errors": self.errors, "latency": self.latency}
        source = sources.get(metric)
        if source is None:
            known = ", ".join(name for name, found in sources.items() if found is not None) or "nothing"
            raise PresetError(
                f"spec.analysis.metrics: preset {self.name!r} does not measure {metric} (it measures {known}); "
                "remove the metric or choose another preset"
            )
        return source


class Presets:
    """All presets that are installed; a broken file spoils only its own."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        """Read presets from texts by the name of their file."""
        self._presets: dict[str, Preset] = {}
        self._broken: dict[str, str] = {}
        for file, text in texts.items():
            self._add(file, text)

    @classmethod
    def installed(cls) -> "Presets":
        """Read ours and those of other packages."""
        return cls(dict(_installed_files()))

    @property
    def names(self) -> list[str]:
        """Names of the presets that can be used."""
        return sorted(self._presets)

    def __getitem__(self, name: str) -> Preset:
        """Return a preset; raises PresetError naming the known ones."""
        if name in self._presets:
            return self._presets[name]
        known = ", ".join(self.names)
        if name in self._broken:
            raise PresetError(f"spec.analysis.preset: {self._broken[name]}; usable: {known}")
        raise PresetError(f"spec.analysis.preset: unknown preset {name!r}; known: {known}")

    def _add(self, file: str, text: str) -> None:
        stem = file.rpartition("/")[2].removesuffix(".yaml")
        try:
            preset = Preset.model_validate(yaml.safe_load(text))
            if preset.name != stem:
                raise ValueError(f"name is {preset.name!r}; name the preset like its file")
            if stem in self._presets:
                raise ValueError("another file has this name; rename one of them")
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in error.errors(include_url=False))
            self._refuse(stem, f"preset file {file}: {faults}")
        except (ValueError, yaml.YAMLError) as error:
            self._refuse(stem, f"preset file {file}: {error}")
        else:
            self._presets[stem] = preset

    def _refuse(self, stem: str, fault: str) -> None:
        _log.warning("%s", fault)
        self._broken[stem] = fault


def _installed_files() -> Iterator[tuple[str, str]]:
    yield from _yaml_files("modelrollout", files("modelrollout") / "presets")
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            yield from _yaml_files(point.value, files(point.load()))
        except Exception as error:  # somebody else's package must not stop the operator
            _log.warning("presets of %s cannot be read: %s", point.value, error)


def _yaml_files(origin: str, folder: Traversable) -> Iterator[tuple[str, str]]:
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".yaml"):
            yield f"{origin}/{file.name}", file.read_text(encoding="utf-8")
