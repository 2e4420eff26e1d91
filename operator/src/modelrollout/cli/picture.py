"""The traffic at each step of a strategy, as values and as pictures of text: who gets what, and with how many pods.

What is drawn is what the operator asks for. Nothing here knows what a cluster's gateway can do.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from modelrollout.api.spec import Spec
from modelrollout.api.strategy import Comparer, Step
from modelrollout.api.units import format_duration, parse_duration
from modelrollout.core.automation import mode_of
from modelrollout.core.capacity import NEAR, Pods, pods_for, share_of, weight_of
from modelrollout.core.sticky import by_key, named
from modelrollout.core.strategies import reports_only, steps_of
from modelrollout.simulate.room import pods_at

LINE: Final = 12
"""Characters of an arrow with what stands on it."""


@dataclass(frozen=True, slots=True)
class Scene:
    """The traffic for as long as one step lasts."""

    title: str
    weight: int
    """Per cent of the requests of users that reach the candidate, of those that no match takes."""
    pods: Pods
    mirror: tuple[int, Comparer] | None = None
    """Per cent of requests that are copied, and how their answers are compared."""
    match: tuple[str, int] | None = None
    """What requests carry that reach the candidate, and how many per cent of them are expected."""
    gate: tuple[str, str, str] | None = None
    """Kind and name of the check that is waited for, and whom it asks."""
    names: tuple[str, str] = ("stable", "candidate")
    notes: tuple[str, ...] = ()
    index: int | None = None
    """Position among the steps; None before and after them."""


def scenes(spec: Spec, name: str) -> tuple[Scene, ...]:
    """Return a scene for the time before, for each step, for the guard, and for the end."""
    steps, replicas = steps_of(spec), spec.replicas
    preview = spec.traffic.preview is not None or spec.strategy.type == "BlueGreen"
    made = [Scene("before", 0, Pods(replicas, 0))]
    weight = 0
    for index, step in enumerate(steps):
        pods = pods_at(spec, index)
        if step.whole:
            note = f"all of them are ready first; the Service {name}-preview reaches the candidate alone"
            if not preview:
                note = "all of them are ready first"
            made.append(Scene(f"before step {index + 1} of {len(steps)}: {step.name}", weight, pods, notes=(note,)))
            break
        weight = step.weight or weight
        notes = [*_clients(spec, step), *_waits(spec, step), *_capacity(spec, step, pods)]
        if preview and weight == 0:
            notes.append(f"the Service {name}-preview reaches the candidate alone")
        made.append(
            Scene(
                title=f"step {index + 1} of {len(steps)}: {step.name}",
                weight=weight,
                pods=pods,
                mirror=(step.shadow.percent, step.shadow.comparer) if step.shadow else None,
                match=_match(step),
                gate=_gate(step),
                notes=tuple(notes),
                index=index,
            )
        )
    return (*made, *_end(spec, steps))


def _end(spec: Spec, steps: tuple[Step, ...]) -> Iterator[Scene]:
    replicas = spec.replicas
    if reports_only(spec):
        yield Scene("end: report", 0, Pods(replicas, 0), notes=("the candidate is not promoted; `report` shows why",))
        return
    last = steps[-1]
    title = f"step {len(steps)} of {len(steps)}: {last.name}" if last.whole else "end"
    switch = len(steps) - 1 if last.whole else None
    whole = pods_for(spec, 100)
    new = ("previous", "promoted")
    guard = parse_duration(spec.strategy.guard.duration)
    if guard:
        surge = share_of(spec.strategy.surge, replicas)
        kept = min(replicas, max(whole.stable, replicas + surge - whole.candidate))
        note = f"guard of {format_duration(guard)}: previous is ready to take over, in one write of the route"
        if kept < replicas:
            note += f", with {kept} of {replicas} pods"
        yield Scene(f"{title}: promoted", 100, Pods(kept, whole.candidate), names=new, notes=(note,), index=switch)
        yield Scene("after the guard", 100, Pods(0, replicas), names=new)
    else:
        yield Scene(f"{title}: promoted", 100, Pods(0, replicas), names=new, index=switch)


def _clients(spec: Spec, step: Step) -> Iterator[str]:
    """Say who is weighed where it is not each request."""
    sticky, key = spec.strategy.sticky, by_key(spec)
    if step.weight is None or sticky is None:
        return
    if key is not None:
        yield f"per cent of clients, by what {named(key)} ends in; those without it stay with stable"
    else:
        yield f"the gateway's cookie {sticky.issued} keeps clients where they are, as far as the weights do"


def _waits(spec: Spec, step: Step) -> Iterator[str]:
    if step.pause is not None:
        yield f"waits {step.pause.duration}" if step.pause.duration else "waits for a person: promote goes on"
    if step.match is not None and step.match.min_requests:
        yield f"until {step.match.min_requests} requests of each revision are seen, at least"
    asked = (step.pause is not None and not step.pause.duration) or (step.gate is not None and step.gate.approval)
    last = reports_only(spec) and step is steps_of(spec)[-1]
    if mode_of(spec.strategy, step, "promotion") == "manual" and not asked and not last:
        yield "then waits for a person: promote goes on"
    if step.max_duration is not None:
        yield f"after {step.max_duration} without a verdict: {step.on_timeout.lower()}"


def _capacity(spec: Spec, step: Step, pods: Pods) -> Iterator[str]:
    """Say what a plain Service makes of a weight, where whole pods cannot make it up."""
    if spec.traffic.service is None or step.weight is None:
        return
    real = weight_of(pods)
    if abs(real - step.weight) > NEAR:
        yield f"without a gateway pods share connections alike: {real}%, not {step.weight}%, and so it is refused"


def _match(step: Step) -> tuple[str, int] | None:
    if step.match is None:
        return None
    words = [f"{name}: {value}" for name, value in step.match.headers.items()]
    words += [f"cookie {name}={value}" for name, value in step.match.cookies.items()]
    return ", ".join(words), step.match.share


def _gate(step: Step) -> tuple[str, str, str] | None:
    gate = step.gate
    if gate is None:
        return None
    asks = {"job": "runs a Job", "approval": "asks a person: approve goes on", "requests": "sends golden requests"}
    asked = asks.get(gate.kind, f"asks {gate.webhook.url}" if gate.webhook else "")
    return gate.kind, gate.title, asked


def drawn(scene: Scene, spec: Spec) -> list[str]:
    """Return a scene as lines: plain arrows are requests of users, dashed ones are copies and checks."""
    way = "users ─> " + ("Service " if spec.traffic.routers == ("service",) else "gateway ")
    lines = list(_branches(scene, way))
    if scene.gate is not None and scene.gate[0] == "requests":
        arrow = f"gate {scene.gate[1]}: {scene.gate[2]} "
        lines.append(f"{arrow}╌╌> {_side(scene, 1)}" if scene.weight == 0 else f"{arrow}╌╌> {scene.names[1]}")
    elif scene.gate is not None:
        lines.append(f"gate {scene.gate[1]}: {scene.gate[2]}")
    drawn_candidate = any(scene.names[1] in line for line in lines)
    if not drawn_candidate and scene.pods.candidate:
        lines.append(_idle(way, _side(scene, 1)))
    return [*lines, *(f"({note})" for note in scene.notes)]


def _branches(scene: Scene, way: str) -> Iterator[str]:
    indent = " " * len(way)
    stable, candidate = _side(scene, 0), _side(scene, 1)
    if scene.match is not None:
        match, share = scene.match
        size = max(LINE, len(match) + 4)
        yield f"{way}─┬{_arrow(match, size)}> {candidate}  (about {share}%)"
        yield f"{indent} └{_arrow('all others', size)}> {stable}"
        return
    if scene.mirror is not None:
        percent, comparer = scene.mirror
        yield f"{way}─┬{_arrow(f'{100 - scene.weight}%')}> {stable}"
        copies = f"{indent} └{_arrow(f'{percent}%', dash='╌')}> "
        if not comparer.enabled:
            yield f"{copies}{candidate}  (copies; nobody looks at the answers)"
            return
        yield f"{copies}comparer ╌┬╌> {candidate}"
        yield f"{' ' * len(copies)}          └╌> {scene.names[0]}, the same questions; for {comparer.noise} twice"
        return
    if 0 < scene.weight < 100:
        yield f"{way}─┬{_arrow(f'{100 - scene.weight}%')}> {stable}"
        yield f"{indent} └{_arrow(f'{scene.weight}%')}> {candidate}"
        return
    serves, other = (candidate, scene.pods.stable) if scene.weight else (stable, 0)
    yield f"{way}──{_arrow('100%')}> {serves}"
    if other:
        yield _idle(way, stable)


def _idle(way: str, side: str) -> str:
    """Return the line of pods that wait."""
    return f"{'ready, without requests:':<{len(way) + LINE + 4}}{side}"


def _arrow(text: str, size: int = LINE, dash: str = "─") -> str:
    left = (size - len(text) - 2) // 2
    return f"{dash * left} {text} {dash * (size - len(text) - 2 - left)}"


def _side(scene: Scene, index: int) -> str:
    pods = (scene.pods.stable, scene.pods.candidate)[index]
    return f"{scene.names[index]:<9}  {pods} pod{'' if pods == 1 else 's'}"


def data(scene: Scene) -> dict[str, Any]:
    """Return a scene for programs."""
    shadow = scene.mirror
    mirror = {"percent": shadow[0], "to": "comparer" if shadow[1].enabled else "candidate"} if shadow else None
    match = {"requests": scene.match[0], "expected_percent": scene.match[1]} if scene.match else None
    gate = {"kind": scene.gate[0], "name": scene.gate[1]} if scene.gate else None
    first, second = scene.names
    return {
        "title": scene.title,
        "weights": {first: 100 - scene.weight, second: scene.weight},
        "pods": {first: scene.pods.stable, second: scene.pods.candidate},
        "mirror": mirror,
        "match": match,
        "gate": gate,
        "notes": list(scene.notes),
    }
