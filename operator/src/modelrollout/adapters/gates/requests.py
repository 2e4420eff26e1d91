"""`requests`: golden requests to every pod of the candidate; repeated, they warm it up."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from modelrollout.adapters.gates.asking import Answer, NoAnswer, NoConnection, Question, ask, client
from modelrollout.adapters.gates.case import Case, Look
from modelrollout.adapters.gates.golden import Compared, Golden, read, told
from modelrollout.adapters.kubernetes.errors import NotFound
from modelrollout.adapters.kubernetes.fields import items, mapping
from modelrollout.adapters.kubernetes.resources import CONFIG_MAPS, ENDPOINT_SLICES
from modelrollout.api.gates import RequestsGate
from modelrollout.api.status import GateState
from modelrollout.api.units import parse_duration
from modelrollout.core.revision import object_name

PODS_AT_ONCE: Final = 4
MOST_BYTES: Final = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of the candidate, as its Service knows it."""

    name: str
    address: str
    """Host and port."""


@dataclass
class Tally:
    """What was seen so far."""

    requests: int = 0
    failed: int = 0
    first: str = ""
    """The first failure."""
    unreached: str = ""
    """Why a pod could not be asked at all."""
    last_round: list[float] = field(default_factory=list)
    """Seconds that answers took, in the last round at each pod."""

    def numbers(self) -> dict[str, float]:
        """Return what to show."""
        numbers = {"requests": float(self.requests), "failed": float(self.failed)}
        if self.last_round:
            times = sorted(self.last_round)
            for name, share in (("p50_ms", 0.5), ("p95_ms", 0.95)):
                numbers[name] = round(1000.0 * times[min(len(times) - 1, int(share * len(times)))], 3)
        return numbers


class RequestsCheck:
    """Asks every ready pod of the candidate, each answer checked."""

    def __init__(self, case: Case, gate: RequestsGate) -> None:
        self._case = case
        self._gate = gate
        self._service = object_name(case.name, case.gate.candidate)
        self._passed: set[Pod] = set()
        self._tally = Tally()

    async def begin(self) -> None:
        """Nothing has to be begun."""

    async def look(self) -> Look:
        """Ask every pod that has not passed yet; it is over when no such pod is left."""
        pace = self._case.pace
        try:
            requests = read(await self._text(), self._gate.path)
        except ValueError as error:
            return Look(GateState.ERROR, self._case.wrong("configMap", self._named(str(error))), again=pace.error)
        while True:
            pods, waiting = await self._pods()
            if waiting or not pods:
                words = "waits for the candidate's pods to be ready"
                return Look(GateState.RUNNING, words, self._tally.numbers(), pace.pods)
            fresh = [pod for pod in pods if pod not in self._passed]
            if not fresh:
                who = "1 pod" if len(pods) == 1 else f"{len(pods)} pods"
                return Look(GateState.PASSED, f"{who} answered as expected", self._tally.numbers())
            await self._ask_all(fresh, requests)
            if self._tally.failed:
                return Look(GateState.FAILED, self._tally.first, self._tally.numbers())
            if self._tally.unreached:
                found = Look(GateState.ERROR, self._tally.unreached, self._tally.numbers(), pace.error)
                self._tally.unreached = ""
                return found

    async def stop(self) -> None:
        """Nothing is left of a request."""

    async def _text(self) -> str:
        """Return the requests as they are written. Raises ValueError where there are none."""
        try:
            raw = await self._case.api.get(CONFIG_MAPS, self._case.namespace, self._gate.config_map)
        except NotFound:
            raise ValueError("does not exist; create it") from None
        text = mapping(raw, "data").get(self._gate.key)
        if not isinstance(text, str):
            raise ValueError(f"has no key {self._gate.key}; add it, or name another one in requests.key")
        return text

    def _named(self, what: str) -> str:
        name = f"{self._case.namespace}/{self._gate.config_map}"
        return f"ConfigMap {name}, key {self._gate.key}: {what}"

    async def _pods(self) -> tuple[list[Pod], bool]:
        """Return the candidate's ready pods, and whether there are others that are not ready yet."""
        params = {"labelSelector": f"kubernetes.io/service-name={self._service}", "limit": "500"}
        page = await self._case.api.list(ENDPOINT_SLICES, self._case.namespace, params)
        ready, waiting = set(), False
        for endpoint, port in _endpoints(page):
            conditions = mapping(endpoint, "conditions")
            if conditions.get("terminating"):
                continue
            if conditions.get("ready") is False:
                waiting = True
                continue
            address = str(endpoint["addresses"][0])
            host = f"[{address}]" if ":" in address else address
            ready.add(Pod(str(mapping(endpoint, "targetRef").get("name") or host), f"{host}:{port}"))
        return sorted(ready, key=lambda pod: pod.name), waiting

    async def _ask_all(self, pods: Sequence[Pod], requests: Sequence[Golden]) -> None:
        turns = asyncio.Semaphore(PODS_AT_ONCE)

        async def one(pod: Pod) -> None:
            async with turns:
                await self._ask_pod(pod, requests)

        async with asyncio.TaskGroup() as group:
            for pod in pods:
                group.create_task(one(pod))

    async def _ask_pod(self, pod: Pod, requests: Sequence[Golden]) -> None:
        """Ask a pod, one request after the other; a round with a failure is the last."""
        tally, last = self._tally, self._gate.repeat - 1
        failed = False
        async with client() as http:
            for lap in range(self._gate.repeat):
                for request in requests:
                    begin = time.monotonic()
                    tally.requests += 1
                    try:
                        fault = self._fault(request, await self._ask(http, pod, request))
                    except NoConnection as error:
                        tally.requests -= 1
                        tally.unreached = f"pod {pod.name} cannot be reached: {error}; allow the operator to reach it"
                        return
                    except NoAnswer as error:
                        fault = str(error)
                    if fault is not None:
                        failed = True
                        tally.failed += 1
                        tally.first = tally.first or f"request {request.name} to pod {pod.name}: {fault}"
                    elif lap == last:
                        tally.last_round.append(time.monotonic() - begin)
                if failed:
                    return
        self._passed.add(pod)

    async def _ask(self, http: Any, pod: Pod, request: Golden) -> Answer:
        content = request.content()
        kind = {"Content-Type": "application/json"} if content is not None else {}
        given = {name.title(): value for name, value in request.headers.items()}
        headers = {"Host": self._case.host(self._case.gate.candidate), **kind, **given}
        question = Question(request.method, f"http://{pod.address}{request.path}", content, headers)
        return await ask(http, question, parse_duration(self._gate.timeout).total_seconds(), MOST_BYTES)

    def _fault(self, request: Golden, answer: Answer) -> str | None:
        """Say what is wrong with an answer."""
        expect = request.expect
        if answer.status != expect.status:
            return told("status", expect.status, answer.status)
        for name, value in expect.headers.items():
            if answer.headers.get(name.lower()) != value:
                return told(f"header {name}", value, answer.headers.get(name.lower()))
        if "json_" not in expect.model_fields_set:
            return None
        try:
            got = json.loads(answer.content)
        except (ValueError, RecursionError):
            return "the answer is no JSON"
        return Compared(self._gate.tolerance, expect.whole).difference(expect.json_, got)


def _endpoints(page: Any) -> list[tuple[Any, int]]:
    """Return every endpoint that has an address, with the port that requests go to."""
    found: list[tuple[Any, int]] = []
    for piece in items(page, "items"):
        ports = [int(port["port"]) for port in items(piece, "ports") if isinstance(port.get("port"), int)]
        if ports:
            found += [(endpoint, ports[0]) for endpoint in items(piece, "endpoints") if endpoint.get("addresses")]
    return found
