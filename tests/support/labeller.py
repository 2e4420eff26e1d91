"""Clients that know better later: they ask in batches, and tell the truth about each row when it has come out."""

import threading
import time
from array import array
from collections import deque
from dataclasses import dataclass, field
from random import Random

import httpx
from lab.paths import GATEWAY

from model_server.model import built_in
from tests.support.load import PATH

WIDTH = 4
NOISE = 0.1
"""Share of rows whose label is the other one: no model is right about all of them."""


@dataclass
class Labeller:
    """Sends `rate` requests a second with `rows` rows each through the gateway, and labels them `delay` seconds later.

    The truth is what the built-in model decides, but for every tenth row. `scale` multiplies the first feature, as in a
    world that has changed. Without `labels` it only asks. Its rows are the same on every run.
    """

    host: str
    rate: float
    rows: int
    headers: dict[str, str] = field(default_factory=dict)
    scale: float = 1.0
    delay: float = 1.0
    labels: bool = True
    requests: int = 0
    failed: list[str] = field(default_factory=list)
    """What became of requests and labels that were not taken."""
    joined: int = 0
    unknown: int = 0

    def __post_init__(self) -> None:
        self._random = Random(7)  # noqa: S311 - no secret
        self._model = built_in().evaluator
        self._due: deque[tuple[float, str, list[int]]] = deque()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> "Labeller":
        """Let the clients come."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Let them go."""
        self._over.set()
        self._thread.join(timeout=20)

    def _run(self) -> None:
        headers = {"Host": self.host, **self.headers}
        with httpx.Client(base_url=GATEWAY, trust_env=False, timeout=5, headers=headers) as http:
            turn = time.monotonic()
            while not self._over.wait(max(0.0, turn - time.monotonic())):
                turn = max(turn + 1 / self.rate, time.monotonic() - 1)
                try:
                    self._ask(http)
                    self._tell(http)
                except httpx.HTTPError as error:
                    self.failed.append(repr(error))

    def _ask(self, http: httpx.Client) -> None:
        values = [number for _ in range(self.rows) for number in self._row()]
        tensor = {"name": "features", "shape": [self.rows, WIDTH], "datatype": "FP64", "data": values}
        self.requests += 1
        answer = http.post(PATH, json={"inputs": [tensor]})
        if not answer.is_success:
            self.failed.append(f"{answer.status_code} {answer.text[:200]}")
        elif self.labels:
            right = self._model.predict(array(self._model.typecode, values), self.rows)
            truth = [int(each >= 0.5) ^ (self._random.random() < NOISE) for each in right]
            self._due.append((time.monotonic() + self.delay, answer.headers["X-Request-Id"], truth))

    def _row(self) -> tuple[float, ...]:
        draw = self._random
        amount = self.scale * round(draw.uniform(20, 1170), 2)
        return amount, float(draw.randrange(24)), float(draw.randrange(730)), float(draw.randint(1, 7))

    def _tell(self, http: httpx.Client) -> None:
        found = []
        while self._due and self._due[0][0] <= time.monotonic():
            _, name, truth = self._due.popleft()
            found += [{"id": name, "label": label, "row": row} for row, label in enumerate(truth)]
        if found:
            answer = http.post("/feedback", json=found)
            if answer.is_success:
                self.joined += answer.json()["joined"]
                self.unknown += answer.json()["unknown"]
            else:
                self.failed.append(f"feedback: {answer.status_code} {answer.text[:200]}")
