"""Label values that name a revision: written once in a preset, read in both directions.

A pattern such as `{namespace}-{service}-{number}@gateway` becomes a regular expression for a query over many
rollouts, and one for each revision that says whether a series is its own. Only syntax that RE2 and Python's `re`
read alike is produced.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from modelrollout.core.revision import object_name

NAMES: Final = ("namespace", "route", "service", "revision")
"""Placeholders for what is known of a revision."""
IDENTITIES: Final = ("service", "revision")
"""Placeholders that only one revision in the whole cluster fills."""
WILDCARDS: Final = {"any": ".+", "number": "[0-9]+", "id": "[0-9a-z]+", "protocol": "(http|grpc)"}

REVISION_LENGTH: Final = 10

_PART: Final = re.compile(r"\{([a-z]+)\}")
_SPECIAL: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")
_DASHES: Final = re.compile(r"--+")
_WORD: Final = re.compile(r"[0-9A-Za-z]+")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Subject:
    """One revision of one rollout."""

    namespace: str
    route: str
    """The rollout's name, which its route shares."""
    revision: str

    @property
    def service(self) -> str:
        """Name of the revision's Service and Deployment."""
        return object_name(self.route, self.revision)

    @property
    def token(self) -> str:
        """The run of letters and digits that a label value of this revision is sure to contain."""
        return words(self.service)[-1]


def words(value: str) -> list[str]:
    """Return the runs of letters and digits in a label value."""
    return _WORD.findall(value)


def quote(value: str) -> str:
    """Write a value as a regular expression that matches only it.

    Runs of dashes match any run of dashes: gateways that join names with dashes squeeze them.
    """
    return _DASHES.sub("-+", exact(value))


def exact(value: str) -> str:
    """Write a value as a regular expression that matches it and nothing else."""
    return _SPECIAL.sub(r"\\\g<0>", value)


def literal(value: str) -> str:
    """Write a PromQL string literal."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + _UNPRINTABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", escaped) + '"'


class Pattern:
    """The form of one label's value. Raises ValueError for unknown or unusable placeholders."""

    def __init__(self, text: str) -> None:
        self.text = text
        parts = _PART.split(text)
        self._literals, self._names = parts[::2], parts[1::2]
        for name in self._names:
            if name not in NAMES and name not in WILDCARDS:
                known = ", ".join("{" + one + "}" for one in (*NAMES, *WILDCARDS))
                raise ValueError(f"{text!r} has an unknown placeholder {{{name}}}; known: {known}")
        for index, name in enumerate(self._names):
            around = self._literals[index][-1:] + self._literals[index + 1][:1]
            if name in IDENTITIES and _WORD.search(around):
                raise ValueError(f"{text!r}: {{{name}}} must stand apart from letters and digits around it")
        for before, middle, after in zip(self._names, self._literals[1:-1], self._names[1:], strict=False):
            if not middle:
                raise ValueError(f"{text!r}: put something between {{{before}}} and {{{after}}}")

    @property
    def identifies(self) -> bool:
        """Whether a value tells the revision."""
        return any(name in IDENTITIES for name in self._names)

    def of(self, subject: Subject) -> str:
        """Return the regular expression of this revision's values."""
        return self._filled({name: quote(getattr(subject, name)) for name in NAMES})

    def of_any(self, subjects: Iterable[Subject]) -> str:
        """Return a short regular expression that matches every value of these revisions, and seldom another's."""
        subjects = list(subjects)
        if not self.identifies:
            return _either(self.of(subject) for subject in subjects)
        revisions = defaultdict(list)
        for subject in subjects:
            revisions[subject.route].append(quote(subject.revision))
        services = (f"{quote(object_name(route, ''))}{_group(found)}" for route, found in revisions.items())
        names = dict.fromkeys(NAMES, ".+")
        names["service"] = _group(services)
        names["revision"] = _group(quote(subject.revision) for subject in subjects)
        return self._filled(names)

    def of_somebody(self, namespace: str, route: str | None) -> str:
        """Return the regular expression of values of any revision of a rollout; None: of anything in the namespace."""
        names = dict.fromkeys(NAMES, ".+")
        names["namespace"] = quote(namespace)
        if route is not None:
            revision = f"[0-9a-z]{{{REVISION_LENGTH}}}"
            names |= {"route": quote(route), "service": quote(object_name(route, "")) + revision, "revision": revision}
        return self._filled(names)

    def _filled(self, names: dict[str, str]) -> str:
        values = [names.get(name) or WILDCARDS[name] for name in self._names]
        return "".join(quote(before) + value for before, value in zip(self._literals, [*values, ""], strict=True))


def _either(alternatives: Iterable[str]) -> str:
    return "|".join(dict.fromkeys(alternatives))


def _group(alternatives: Iterable[str]) -> str:
    return f"(?:{_either(alternatives)})"
