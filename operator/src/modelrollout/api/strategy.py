"""How traffic moves from stable to a candidate, as a user writes it under `spec.strategy`: a list of steps."""

import re
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from modelrollout.api.base import ApiModel
from modelrollout.api.gates import Gate
from modelrollout.api.patterns import BEGIN, CLOCK, COOKIE_NAME, COOKIE_VALUE, HEADER_NAME, JSON_PATH, SHARE, TIME_ZONE
from modelrollout.api.units import Duration, Percent, parse_duration, parse_percent

KINDS: Final = ("shadow", "weight", "match", "switch", "pause", "gate")
"""The kinds of steps, as their fields are spelled."""
MOVING: Final = ("weight", "match", "switch")
"""Those that give the candidate requests of users."""
TIMED: Final = ("min_duration", "max_duration", "on_timeout")
STICKY: Final = ("header", "cookie", "issued")
"""What clients may be told apart by."""

HeaderName = Annotated[str, Field(min_length=1, max_length=100, pattern=HEADER_NAME)]
CookieName = Annotated[str, Field(min_length=1, max_length=100, pattern=COOKIE_NAME)]
Value = Annotated[str, Field(min_length=1, max_length=256)]


def pods(value: int | str) -> int | str:
    """Return a number of pods, or a share of them, as written. Raises ValueError for anything else."""
    fits = re.fullmatch(SHARE, value) if isinstance(value, str) else 0 <= value <= 10000
    if not fits:
        raise ValueError("must be a number of pods from 0 to 10000, or a share from 0% to 100%")
    return value


class Pause(ApiModel):
    """A wait for a duration, or for a person."""

    duration: Duration | None = Field(None, description="How long; left out: until somebody runs promote or resume.")


class Comparer(ApiModel):
    """What asks candidate and stable the same questions and compares their answers, off the request path."""

    enabled: bool = Field(True, description="false: mirror straight to the candidate; nothing compares answers then.")
    tolerance: float = Field(1e-6, ge=0.0, description="Numbers that differ by no more agree.")
    relative_tolerance: float = Field(0.0, ge=0.0, le=1.0, description="The same as a share of the larger number.")
    top1: bool = Field(False, description="Agree when both name the same class first, whatever the scores.")
    paths: list[Value] = Field([], max_length=16, description="Only these JSON paths are compared; all when left out.")
    ignore: list[Value] = Field([], max_length=16, description="JSON paths that may differ, such as ids and times.")
    noise: Percent = Field("5%", description="Share of requests that stable is asked twice: its agreement with itself.")
    timeout: Duration = Field("5s", description="An answer that takes longer is late; it makes no pair.")
    redact: list[Value] = Field([], max_length=16, description="JSON paths that no kept sample shows.")
    keep_inputs: bool = Field(False, description="Keep the requests of disagreements too, not only the answers.")
    samples: int = Field(50, ge=0, le=1000, description="Disagreements that are kept to look at.")

    @field_validator("paths", "ignore", "redact")
    @classmethod
    def _json_paths(cls, paths: list[str]) -> list[str]:
        for path in paths:
            if not re.fullmatch(JSON_PATH, path):
                raise ValueError(f"{path!r} is no JSON path; write for instance $.outputs[*].data, or a key")
        return paths

    @field_validator("noise")
    @classmethod
    def _share(cls, noise: str) -> str:
        if parse_percent(noise) > 1.0:
            raise ValueError("must be at most 100%, for instance 5%")
        return noise

    @field_validator("timeout")
    @classmethod
    def _some_time(cls, timeout: str) -> str:
        if not parse_duration(timeout):
            raise ValueError("must be above 0s, for instance 5s")
        return timeout


class Shadow(ApiModel):
    """Copies of live requests to the candidate; users always get stable's answer."""

    percent: int = Field(10, ge=1, le=100, description="Per cent of live requests that are copied.")
    comparer: Comparer = Field(Comparer(), description="How answers are compared.")


class Match(ApiModel):
    """Requests with these headers and cookies go to the candidate, all others to stable."""

    headers: dict[HeaderName, Value] = Field({}, max_length=8, description="Header to exact value; all must match.")
    cookies: dict[CookieName, Value] = Field({}, max_length=4, description="Cookie to exact value; all must match.")
    share: int = Field(
        10, ge=1, le=100, description="Per cent of requests expected to match; the candidate gets pods for so many."
    )
    min_requests: int = Field(
        1000, ge=0, le=1_000_000_000, description="Requests of each revision to be seen before the step may end."
    )

    @field_validator("cookies")
    @classmethod
    def _cookie_values(cls, cookies: dict[str, str]) -> dict[str, str]:
        for name, value in cookies.items():
            if not re.fullmatch(COOKIE_VALUE, value):
                raise ValueError(f"{name}={value}: the value of a cookie has no spaces, quotes, commas or ';'")
        return cookies

    @model_validator(mode="after")
    def _matches_something(self) -> "Match":
        if not self.headers and not self.cookies:
            raise ValueError("match needs headers or cookies; for a share of all requests use weight")
        return self


class Switch(ApiModel):
    """All traffic to the candidate in one move; stable stays ready through the guard."""


class Automation(ApiModel):
    """Who makes a move: auto - the operator; notify - the operator, and it tells; manual - a person, who is told."""

    promotion: Literal["auto", "notify", "manual"] | None = Field(
        None, description="The way forward: auto, notify or manual."
    )
    rollback: Literal["auto", "notify", "manual"] | None = Field(
        None, description="The way back on evidence: auto, notify or manual."
    )


class Step(ApiModel):
    """One step of a strategy: exactly one kind."""

    shadow: Shadow | None = Field(None, description="Copy live requests to the candidate and compare.")
    weight: int | None = Field(None, ge=1, le=100, description="Per cent of live requests for the candidate.")
    match: Match | None = Field(None, description="Requests with these headers or cookies to the candidate.")
    switch: Switch | None = Field(None, description="All traffic to the candidate at once; the last step.")
    pause: Pause | None = Field(None, description="Wait for a duration, or for a person.")
    gate: Gate | None = Field(None, description="Wait for an outside check.")
    min_duration: Duration | None = Field(
        None, description="Least time at this step; strategy.minStepDuration when left out."
    )
    max_duration: Duration | None = Field(None, description="Longest time to wait at this step; then onTimeout.")
    on_timeout: Literal["Pause", "Rollback", "Promote"] = Field(
        "Pause", description="What to do when maxDuration is over without a verdict."
    )
    automation: Automation | None = Field(None, description="Who moves on from this step, or back.")

    @model_validator(mode="after")
    def _one_kind(self) -> "Step":
        if len([kind for kind in KINDS if getattr(self, kind) is not None]) != 1:
            raise ValueError(f"a step is exactly one of {', '.join(KINDS)}; split it into two")
        timed = self.model_fields_set & set(TIMED)
        if timed and (self.pause is not None or self.whole):
            raise ValueError(
                "minDuration, maxDuration and onTimeout do not belong to a pause, a switch or a weight of 100;"
                " a pause takes pause.duration"
            )
        if self.automation is not None and self.whole:
            raise ValueError(
                "automation does not belong to a switch or a weight of 100, which last no time;"
                " give it to the step before, or to strategy"
            )
        if self.kind == "gate" and "min_duration" in timed:
            raise ValueError("minDuration does not belong to a gate; add a pause for a wait")
        if "on_timeout" in timed and self.max_duration is None:
            raise ValueError(
                "onTimeout needs maxDuration: without one the step waits for evidence for as long as it takes"
            )
        return self

    @property
    def kind(self) -> str:
        """The kind of step."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def moving(self) -> bool:
        """Whether users' requests reach the candidate in it."""
        return self.kind in MOVING

    @property
    def whole(self) -> bool:
        """Whether the candidate gets all requests in it, so that nothing is left to compare it with."""
        return self.switch is not None or self.weight == 100

    @property
    def share(self) -> int:
        """Per cent of requests, or of copies of them, that it brings to the candidate; 0 for a wait or a check."""
        if self.shadow is not None:
            return self.shadow.percent
        if self.match is not None:
            return self.match.share
        return 100 if self.whole else self.weight or 0

    @property
    def name(self) -> str:
        """The step as people name it: `weight 20`, `shadow 10%`, `gate evaluation`."""
        if self.weight is not None:
            return f"weight {self.weight}"
        if self.shadow is not None:
            return f"shadow {self.shadow.percent}%"
        if self.gate is not None:
            return f"gate {self.gate.title}"
        if self.match is not None:
            words = [f"{name}={value}" for name, value in {**self.match.headers, **self.match.cookies}.items()]
            return f"match {' '.join(words)}"[:100]
        return self.kind


class Guard(ApiModel):
    """The watch after promotion, with the previous revision still ready to take over."""

    duration: Duration = Field("10m", description="How long the previous revision stays ready to take over.")


class Sticky(ApiModel):
    """Clients stay with their revision: by what a key of theirs ends in, or by a cookie that the gateway issues."""

    header: HeaderName | None = Field(None, description="The header with the key, for instance x-user-id.")
    cookie: CookieName | None = Field(None, description="The cookie with the key.")
    endings: Literal["Hex", "Decimal", "Alphanumeric", "Base64URL"] = Field(
        "Hex", description="What the key ends in: two characters of these kinds, evenly spread; Hex when left out."
    )
    issued: CookieName | None = Field(
        None, description="A cookie that the gateway issues: clients stay as far as the weights do. Traefik's own only."
    )

    @model_validator(mode="after")
    def _one_key(self) -> "Sticky":
        if len([name for name in STICKY if getattr(self, name) is not None]) != 1:
            raise ValueError(
                "sticky needs exactly one of header, cookie (a key that clients send) and issued (a cookie of the"
                " gateway's)"
            )
        if self.issued is not None and "endings" in self.model_fields_set:
            raise ValueError("endings belongs to header or cookie; a cookie that the gateway issues has none")
        return self


Day = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


class Window(ApiModel):
    """Hours of some days of the week; one that ends before it begins ends on the next day."""

    days: list[Day] = Field([], max_length=7, description="Mon to Sun: days on which it begins; all when left out.")
    start: str = Field(
        "00:00", alias="from", max_length=5, pattern=BEGIN, description="When it begins, for instance 18:00."
    )
    to: str = Field("24:00", max_length=5, pattern=CLOCK, description="When it ends, for instance 24:00.")


class Schedule(ApiModel):
    """When a rollout may move forward. It may go back at any time."""

    time_zone: str = Field(
        "UTC", max_length=64, pattern=TIME_ZONE, description="IANA name, for instance Europe/Berlin."
    )
    allow: list[Window] = Field([], max_length=16, description="Moves only within these; always when left out.")
    freeze: list[Window] = Field([], max_length=16, description="No moves within these.")

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"no time zone is named {name!r}; write for instance UTC or Europe/Berlin") from None
        return name


class Strategy(ApiModel):
    """How traffic moves from the stable revision to the candidate."""

    type: Literal["Canary", "Shadow", "BlueGreen"] = Field(
        "Canary",
        description="Default steps. Canary: weights 5, 10, 25, 50. Shadow: 10% of requests mirrored, then a report."
        " BlueGreen: switch.",
    )
    steps: list[Step] | None = Field(None, min_length=1, max_length=20, description="Replaces the default steps.")
    min_step_duration: Duration = Field("60s", description="Least time at each step, whatever the evidence.")
    guard: Guard = Field(Guard(), description="The watch after promotion.")
    automation: Automation = Field(Automation(), description="Who moves forward and back; auto when left out.")
    schedule: Schedule | None = Field(None, description="When the rollout may move forward; always when left out.")
    surge: int | str = Field(
        "100%", description="Pods beyond replicas, as a number or share; 0: the candidate's are taken from stable."
    )
    floor: int | str = Field(
        "25%", description="Pods that stable keeps at least when surge is too small for all, as a number or share."
    )
    sticky: Sticky | None = Field(None, description="Keep each client with one revision.")
    on_new_template: Literal["Replace", "Queue"] = Field(
        "Replace",
        description="A template that comes in mid-rollout. Replace: it takes the candidate's place at once. Queue: it"
        " waits for the end, and the newest wins.",
    )

    @field_validator("surge", "floor")
    @classmethod
    def _pods(cls, value: int | str) -> int | str:
        return pods(value)

    @model_validator(mode="after")
    def _steps_fit(self) -> "Strategy":
        kinds = [step.kind for step in self.steps or ()]
        if self.type == "Canary" and kinds and not any(kind in MOVING for kind in kinds):
            raise ValueError(
                "steps must have at least one weight, match or switch: a candidate without requests gives no evidence;"
                " for a report without promotion write type: Shadow"
            )
        if self.type == "Shadow" and kinds and "shadow" not in kinds:
            raise ValueError("steps of type Shadow must have at least one shadow")
        if any(step.whole for step in (self.steps or ())[:-1]):
            raise ValueError(
                "a switch or a weight of 100 must be the last step: with it the candidate is promoted, the guard begins"
            )
        weights = [step.weight for step in self.steps or () if step.weight is not None]
        if weights != sorted(weights):
            raise ValueError("steps must have rising weights: the way back is a rollback, in one move")
        first = next((place for place, kind in enumerate(kinds) if kind == "weight"), len(kinds))
        if any(kind in ("shadow", "match") for kind in kinds[first:]):
            raise ValueError("shadow and match must come before the first weight: their requests are a part of its own")
        for index, step in enumerate(self.steps or ()):
            least = step.min_duration or self.min_step_duration
            timed = step.max_duration is not None and step.kind != "gate"
            if timed and parse_duration(step.max_duration or "") < parse_duration(least):
                raise ValueError(
                    f"steps[{index}]: maxDuration must be at least the step's minDuration"
                    f" (or strategy.minStepDuration), {least}; raise one or lower the other"
                )
        return self
