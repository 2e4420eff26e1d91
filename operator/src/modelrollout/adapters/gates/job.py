"""`job`: a Job of the rollout's own. Its name follows from the check's identity, so it is never run twice for one."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelrollout.adapters.gates.case import Case, Look
from modelrollout.adapters.gates.verdict import Said, one_line, said
from modelrollout.adapters.kubernetes.errors import AlreadyExists, Forbidden, NotFound
from modelrollout.adapters.kubernetes.fields import items, mapping
from modelrollout.adapters.kubernetes.objects import MANAGED_BY
from modelrollout.adapters.kubernetes.resources import JOBS, PODS
from modelrollout.api.base import API_VERSION, GROUP, KIND, NAME_LABEL, ROLE_LABEL
from modelrollout.api.gates import JobGate
from modelrollout.api.status import GateState
from modelrollout.api.units import parse_duration
from modelrollout.ports import TerminalError, TransientError

ROLE: Final = "gate"
ANNOTATION: Final = f"{GROUP}/gate"
"""Holds the whole identity, of which the name holds a digest."""
KEPT_SECONDS: Final = 3600
"""How long a Job that is over stays to be looked at; an operator that is away for longer runs it again."""
LONGEST_NAME: Final = 63

Object = dict[str, Any]


class JobCheck:
    """Runs a Job and reads its verdict: its end and, where its container left one, its termination message."""

    def __init__(self, case: Case, gate: JobGate) -> None:
        self._case = case
        self._gate = gate
        self._name = name_of(case)
        self._looks = 0

    async def begin(self) -> None:
        """Create the Job unless it exists. TerminalError where the API server refuses the template."""
        try:
            await self._job()
        except (Forbidden, TransientError):
            return  # Rights and room may come: the looks tell of it, and try again.

    async def look(self) -> Look:
        """Return how far the Job is; creates it where it is not there."""
        raw = await self._job()
        end = _end(raw)
        if end is None:
            self._looks += 1
            # A Job of seconds is over soon; one of hours is looked at more calmly.
            again = min(self._case.pace.job, 0.5 * self._looks)
            return Look(GateState.RUNNING, f"Job {self._name} runs", again=again)
        pods = await self._case.api.list(
            PODS,
            self._case.namespace,
            {"labelSelector": f"batch.kubernetes.io/job-name={self._name}", "limit": "50"},
        )
        return verdict_of(self._name, end, pods.get("items") or [])

    async def stop(self) -> None:
        """Delete the Job, unless it is over: then it may be looked at for a while."""
        try:
            raw = await self._case.api.get(JOBS, self._case.namespace, self._name)
            if self._is_ours(raw) and _end(raw) is None:
                await self._case.api.delete(JOBS, self._case.namespace, self._name, raw["metadata"]["uid"])
        except NotFound:
            return

    async def _job(self) -> Object:
        """Return the Job, created where it is not there."""
        try:
            raw = await self._case.api.get(JOBS, self._case.namespace, self._name)
        except NotFound:
            raw = await self._created()
        if not self._is_ours(raw):
            what = f"Job {self._case.namespace}/{self._name} exists and is not of this gate; delete it"
            raise TerminalError(self._case.wrong("", what))
        return raw

    async def _created(self) -> Object:
        body = job_of(self._case, self._gate)
        try:
            return await self._case.api.create(JOBS, self._case.namespace, body, fieldValidation="Strict")
        except AlreadyExists as error:
            raise TransientError(str(error)) from None
        except Forbidden:
            raise
        except TerminalError as error:
            raise TerminalError(self._case.wrong("template", str(error))) from None

    def _is_ours(self, raw: Mapping[str, Any]) -> bool:
        return mapping(mapping(raw, "metadata"), "annotations").get(ANNOTATION) == self._case.ident


def name_of(case: Case) -> str:
    """Return the name of the check's Job."""
    digest = hashlib.sha256(case.ident.encode()).hexdigest()[:10]
    return f"{case.name[: LONGEST_NAME - 11].rstrip('-.')}-{digest}"


def job_of(case: Case, gate: JobGate) -> Object:
    """Return the Job of a check; TerminalError for a template that could take live traffic."""
    labels = mapping(mapping(gate.template, "metadata"), "labels")
    taken = next((label for label in labels if label.startswith(f"{GROUP}/")), None)
    if taken is not None:
        what = f"{taken} is the operator's own, pods that carry it can be given live requests; remove it"
        raise TerminalError(case.wrong("template.metadata.labels", what))
    owner = {"apiVersion": API_VERSION, "kind": KIND, "name": case.name, "uid": case.rollout.metadata.uid}
    return {
        "apiVersion": JOBS.api,
        "kind": JOBS.kind,
        "metadata": {
            "name": name_of(case),
            "namespace": case.namespace,
            "labels": {NAME_LABEL: case.name, ROLE_LABEL: ROLE, MANAGED_BY: "modelrollout"},
            "annotations": {ANNOTATION: case.ident},
            # Unlike what serves, a check has no reason to outlive its rollout.
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": False}],
        },
        "spec": {
            "backoffLimit": gate.backoff_limit,
            "activeDeadlineSeconds": max(1, math.ceil(parse_duration(gate.deadline).total_seconds())),
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": _pod(case, gate),
        },
    }


def environment(case: Case) -> dict[str, str]:
    """Return what every container of the Job is told."""
    gate, urls = case.gate, case.urls
    return {
        "MODELROLLOUT_NAME": case.name,
        "MODELROLLOUT_NAMESPACE": case.namespace,
        "MODELROLLOUT_STABLE": gate.stable,
        "MODELROLLOUT_CANDIDATE": gate.candidate,
        "MODELROLLOUT_STABLE_URL": urls["stable"],
        "MODELROLLOUT_CANDIDATE_URL": urls["candidate"],
        "MODELROLLOUT_GATE": case.ident,
    }


def _pod(case: Case, gate: JobGate) -> Object:
    meta, spec = mapping(gate.template, "metadata"), mapping(gate.template, "spec")
    told = environment(case)
    containers = {
        kind: [{**one, "env": _env(one, told)} for one in items(spec, kind)]
        for kind in ("initContainers", "containers")
        if kind in spec
    }
    labels = {**mapping(meta, "labels"), ROLE_LABEL: ROLE}
    return {
        **gate.template,
        "metadata": {**meta, "labels": labels},
        "spec": {"restartPolicy": "Never", **spec, **containers},
    }


def _env(container: Mapping[str, Any], told: Mapping[str, str]) -> list[Any]:
    """Return the variables of a container; ours come first, so that its own may refer to them, and yield to them."""
    own = items(container, "env")
    names = {one.get("name") for one in own}
    return [{"name": name, "value": value} for name, value in told.items() if name not in names] + [*own]


def _end(raw: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the condition that ended a Job."""
    for condition in items(mapping(raw, "status"), "conditions"):
        if condition.get("type") in ("Complete", "Failed") and condition.get("status") == "True":
            return condition
    return None


def verdict_of(name: str, end: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]) -> Look:
    """Return what a Job that is over says: pure.

    Both its end and its own words have to be good: a Fail in a termination message counts with exit code 0 too.
    """
    words = _last_words(pods)
    own = next((found for text in words if (found := said(text)) is not None), None)
    if end.get("type") == "Complete" and (own is None or own.verdict != "Fail"):
        message = own.message if own else one_line(words[0]) if words else ""
        return Look(GateState.PASSED, message, own.numbers if own else {})
    return Look(GateState.FAILED, _why(name, end, own, words), own.numbers if own else {})


def _why(name: str, end: Mapping[str, Any], own: Said | None, words: list[str]) -> str:
    if own is not None and own.verdict == "Fail" and own.message:
        return own.message
    why = f"Job {name} says Fail" if end.get("type") == "Complete" else f"Job {name}: {end.get('reason') or 'Failed'}"
    text = own.message if own else one_line(words[0]) if words else one_line(str(end.get("message") or ""))
    return f"{why}: {text}" if text else why


def _last_words(pods: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the termination messages of the pod that ended last; of containers that failed first."""
    ended: list[tuple[str, int, bool, str]] = []
    for order, pod in enumerate(pods):
        status = mapping(pod, "status")
        for container in [*items(status, "containerStatuses"), *items(status, "initContainerStatuses")]:
            terminated = mapping(mapping(container, "state"), "terminated")
            if terminated:
                failed = terminated.get("exitCode") != 0
                ended.append((str(terminated.get("finishedAt")), order, failed, str(terminated.get("message") or "")))
    if not ended:
        return []
    last = max(ended)[1]
    mine = sorted((one for one in ended if one[1] == last), key=lambda one: not one[2])
    return [message for _, _, _, message in mine if message]
