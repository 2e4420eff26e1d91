"""Presets: where metrics come from, as data.

A preset is one YAML file. Ours lie in `modelrollout/presets`; another package adds its own with an entry point in
the group `modelrollout.presets` that names a package holding `*.yaml`.
"""

import logging
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Final

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from modelrollout.adapters.prometheus.patterns import Pattern
from modelrollout.adapters.prometheus.sources import (
    Agreement,
    Data,
    Errors,
    Inputs,
    LabelName,
    Latency,
    Predictions,
    Quality,
    Source,
)

GROUP: Final = "modelrollout.presets"
KINDS: Final = ("errors", "latency", "predictions", "inputs", "quality", "agreement")
"""Metrics that a preset may measure; `slo` reads the counters of errors."""

_log = logging.getLogger(__name__)


def _is_pattern(text: str) -> str:
    Pattern(text)
    return text


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


LabelForms = dict[LabelName, Annotated[str, AfterValidator(_is_pattern)]]
Shape = Mapping[str, Pattern]
"""Patterns of the labels by which a series belongs to a revision; the one that identifies it comes first."""


class PresetError(ValueError):
    """A preset that cannot be used; the text says which ones can."""


class Preset(Data):
    """How to find the series of each revision in one kind of metrics."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
    about: str = Field(min_length=1)
    needs: str = ""
    """What must be switched on before the source exports these series."""
    labels: Annotated[tuple[LabelForms, ...], BeforeValidator(_listed), Field(min_length=1)]
    """Labels by which a series belongs to a revision, with the form of their values; or several such sets."""
    source: Annotated[tuple[LabelName, ...], BeforeValidator(_listed), Field(min_length=1)]
    """The labels that tell who counted: the scraped gateway instance or pod."""
    errors: Errors | None = None
    latency: Latency | None = None
    predictions: Predictions | None = None
    inputs: Inputs | None = None
    quality: Quality | None = None
    agreement: Agreement | None = None
    lacks: Mapping[str, str] = {}
    """Why a metric that people will look for is not there, and where to take it from."""

    @model_validator(mode="after")
    def _tells_revisions(self) -> "Preset":
        for shape in self.shapes:
            if sum(pattern.identifies for pattern in shape.values()) != 1:
                raise ValueError("labels: exactly one of them must hold {service} or {revision}")
        if unknown := [kind for kind in self.lacks if kind not in KINDS or kind in self.measured]:
            raise ValueError(f"lacks: {unknown[0]} is no metric, or is measured")
        return self

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """The sets of label patterns; a series belongs to a revision when all patterns of one set match."""
        made = ({label: Pattern(text) for label, text in forms.items()} for forms in self.labels)
        return tuple(dict(sorted(shape.items(), key=lambda item: not item[1].identifies)) for shape in made)

    @property
    def measured(self) -> dict[str, Source]:
        """The metrics that it measures, with their sources."""
        found: dict[str, Source | None] = {kind: getattr(self, kind) for kind in KINDS}
        return {kind: source for kind, source in found.items() if source is not None}

    def source_of(self, metric: str, *, grpc: bool = False) -> Source:
        """Return where a metric of the resource comes from; raises PresetError where this preset has none.

        With `grpc` calls come by gRPC, and a source that cannot tell which of them failed is none.
        """
        kind = "errors" if metric == "slo" else metric
        source = self.measured.get(kind)
        if source is None:
            known = ", ".join(self.measured) or "nothing"
            because = {**self.lacks}.get(kind)
            raise PresetError(
                f"spec.analysis.metrics: preset {self.name!r} does not measure {metric} (it measures {known}); "
                + (because or "remove the metric or give it another preset")
            )
        if grpc and isinstance(source, Errors) and source.http_only:
            raise PresetError(
                f"spec.analysis.metrics: preset {self.name!r} does not tell failed gRPC calls from good ones "
                f"({source.http_only}), and spec.traffic.gatewayAPI.kind is GRPCRoute; give {metric} a preset that "
                "does: model-server, triton, seldon2, linkerd or your own"
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
