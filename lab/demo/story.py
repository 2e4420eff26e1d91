"""The play: version 1 serves, version 2 is promoted, version 3 is rolled back."""

from dataclasses import dataclass
from string import Template

from lab.demo.kubectl import Object
from lab.demo.load import NOBODY, Count, Load, Tally, job
from lab.demo.stage import Stage
from lab.demo.timeline import Timeline
from lab.errors import LabError
from lab.paths import SOURCE

NAMESPACE = "modelrollout-demo"
HOST = "fraud.example.com"
NAME = "fraud"
RATE = 80
SERVED = 120.0
DECIDED = 480.0
GUARDED = 120.0
"""Longest waits, in seconds; each is several times what it takes."""

HELLO = """
import sys, time, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[1], headers={"Host": sys.argv[2]})
for _ in range(300):
    try:
        with urllib.request.urlopen(request, timeout=2):
            sys.exit(0)
    except OSError:
        time.sleep(0.1)
sys.exit(1)
"""


@dataclass
class Act:
    """One version's rollout and how it ended."""

    version: str
    revision: str = "?"
    phase: str = "?"
    seconds: float | None = None
    """From `kubectl apply` to 100 % or back to 0 %."""
    weight: int = 0
    """The highest per cent of requests that the version got."""

    @property
    def outcome(self) -> str:
        """How it ended, in words."""
        return {"Promoted": "promoted", "Guarding": "promoted", "RolledBack": "rolled back"}.get(self.phase, self.phase)


class Demo:
    """Plays all acts in a namespace of its own."""

    def __init__(self, stage: Stage, timeline: Timeline) -> None:
        self.stage = stage
        self.kubectl = stage.kubectl
        self.timeline = timeline
        self.load = Load(stage.kubectl, "load", NAMESPACE)

    def play(self) -> bool:
        """Play; True if the good version was promoted and the bad one rolled back."""
        self._clean()
        first = self._first()
        self._start_load()
        good = self._good()
        bad = self._bad()
        self.timeline.act("The end", "What the users saw, counted by the tool that sent the requests:")
        self._report(self.load.stop(), first, good, bad)
        return good.outcome == "promoted" and bad.outcome == "rolled back"

    def end(self) -> None:
        """Remove the namespace and all in it."""
        self.kubectl.run("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait", "--timeout=120s")

    def _clean(self) -> None:
        """Begin with an empty namespace: an earlier run may have been killed, or was told to keep its own."""
        self.end()
        self.kubectl.run("create", "namespace", NAMESPACE)

    def _first(self) -> Act:
        self.timeline.act(
            "Act 1: version 1 goes into service",
            f"A ModelRollout names a pod template, a Gateway and how to change versions. The operator starts 2 pods and"
            f" routes http://{HOST} to them. Look in from another terminal: kubectl get modelrollouts -n {NAMESPACE}",
        )
        act = self._release("1", error_rate="0")
        self._follow(act, SERVED, ends=("Promoted",))
        pod = f"deployment/{NAME}-{act.revision}"
        target = f"{self.stage.url}/v2/models/{NAME}"
        hello = ("/venv/bin/python3", "-c", HELLO, target, HOST)
        if self.kubectl.attempt("exec", pod, "-n", NAMESPACE, "--", *hello).returncode != 0:
            raise LabError(f"the gateway does not answer for {HOST} at {target}")
        self.timeline.note("the gateway answers")
        return act

    def _start_load(self) -> None:
        self.timeline.act(
            "Act 2: users come",
            f"A pod sends {RATE} requests a second through the gateway to the end of the demo, whether or not earlier"
            " ones were answered, and counts what comes back.",
        )
        target = f"{self.stage.url}/v2/models/{NAME}/infer"
        manifest = job(name="load", namespace=NAMESPACE, image=self.stage.load, target=target, host=HOST, rate=RATE)
        self.load.start(manifest)
        self.timeline.note("the load runs")

    def _good(self) -> Act:
        self.timeline.act(
            "Act 3: version 2, a good one",
            "One value in the file changes. The new version gets 5 % of the requests, and more each time the evidence"
            " says that more is safe. At 100 % its pods stay as they are, and the old ones stay ready for 30 s.",
        )
        act = self._release("2", error_rate="0")
        self._follow(act, DECIDED, ends=("Guarding", "Promoted", "RolledBack"))
        if act.phase == "Guarding":
            self._follow(act, GUARDED, ends=("Promoted", "RolledBack"))
        return act

    def _bad(self) -> Act:
        self.timeline.act(
            "Act 4: version 3, a bad one",
            "It answers one request in twenty with an error. Nobody tells the operator.",
        )
        act = self._release("3", error_rate="0.05")
        self._follow(act, DECIDED, ends=("Guarding", "Promoted", "RolledBack"))
        return act

    def _release(self, version: str, *, error_rate: str) -> Act:
        text = (SOURCE / "demo" / "fraud.yaml").read_text(encoding="utf-8")
        namespace, gateway = self.stage.gateway
        values = {"namespace": NAMESPACE, "gateway": gateway, "gateway_namespace": namespace, "host": HOST}
        values |= {"image": self.stage.model_server, "version": version, "error_rate": error_rate}
        self.timeline.start()
        stored = self.kubectl.apply(Template(text).substitute(values))
        self.generation = int(stored["metadata"]["generation"])
        self.timeline.note(f"kubectl apply: MODEL_VERSION={version}, ERROR_RATE={error_rate}")
        return Act(version)

    def _follow(self, act: Act, seconds: float, *, ends: tuple[str, ...]) -> None:
        """Print moves until the rollout is in one of the phases `ends`; raise LabError if it takes too long."""
        status: Object = {}
        for rollout in self.kubectl.watch("modelrollout", NAME, "-n", NAMESPACE, seconds=seconds):
            if rollout is None:
                self.timeline.waiting(self._meanwhile(act, status))
                continue
            status = rollout.get("status") or {}
            if status.get("observedGeneration", 0) < self.generation:
                continue
            for move in self.timeline.moves(status.get("history", [])):
                self._note(act, move)
            act.phase = status["phase"]
            if act.phase in ends:
                return
        raise LabError(
            f"version {act.version} is still {status.get('phase', 'unknown to the operator')} after {seconds:.0f} s:"
            f" {status.get('message', 'no status')}; look at the operator's log, and into the namespace with --keep"
        )

    def _meanwhile(self, act: Act, status: Object) -> str:
        """Return what goes on between two moves: what the operator says, or what clients see."""
        message, history = str(status.get("message", "")), status.get("history") or [{}]
        tally = self.load.tally
        if message != history[-1].get("message") or not tally.requests:
            return message
        answered = tally.versions.get(act.version, Count())
        return (
            f"users: {tally.requests} requests, {tally.failed} failed; version {act.version} has answered"
            f" {answered.requests}, {answered.failed} of them with an error"
        )

    def _note(self, act: Act, move: Object) -> None:
        if move["move"] == "Started":
            act.revision = move["revision"]
        if move["move"] in ("Promoted", "RolledBack") and act.seconds is None:
            act.seconds = self.timeline.seconds
        act.weight = max(act.weight, 100 if move["move"] == "Promoted" else move.get("weight", 0))

    def _report(self, tally: Tally, *acts: Act) -> None:
        head = ("version", "revision", "outcome", "seconds", "highest weight", "requests", "failed")
        rows = []
        for act in acts:
            count = tally.versions.get(act.version, Count())
            seconds = "-" if act.seconds is None else f"{act.seconds:.1f}"
            outcome = "first" if act is acts[0] else act.outcome
            numbers = (seconds, f"{act.weight} %", str(count.requests), str(count.failed))
            rows.append((act.version, act.revision, outcome, *numbers))
        nobody = tally.versions.get(NOBODY, Count())
        if nobody.requests:
            rows.append((NOBODY, "-", "no pod answered", "-", "-", str(nobody.requests), str(nobody.failed)))
        self.timeline.table(head, rows)
        if tally.summary is not None:
            latency = tally.summary["latency_ms"]
            self.timeline.print(
                "",
                f"  {tally.requests} requests, {tally.failed} failed, {tally.summary['dropped']} not sent in time;"
                f" half were answered within {latency['p50']} ms, 99 % within {latency['p99']} ms",
            )
        else:
            self.timeline.print("", "  the load generator left no summary: its log broke off, the counts are too low")
