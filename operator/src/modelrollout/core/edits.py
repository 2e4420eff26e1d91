"""Steps that somebody edits under a rollout: it stays at the step where it is, wherever that is now, or begins anew."""

from modelrollout.api.status import Phase, StepStatus, VerdictKind
from modelrollout.core.draft import Draft
from modelrollout.core.evidence.judge import unearned
from modelrollout.core.strategies import stage_among


def follow(draft: Draft) -> None:
    """Find the step in progress among the steps as they are now.

    A position alone means nothing in another list: it may be that of a switch, or past the end, where promotion is.
    """
    current, skip_to = draft.status.step, draft.status.skip_to
    if current is None or not draft.active:
        return
    index = _place(draft, current)
    if index is None:
        _begin_anew(draft, current)
        return
    name = draft.steps[index].name
    if (index, name) == (current.index, current.name):
        return
    draft.set(step=current.model_copy(update={"index": index, "name": name}))
    if skip_to == current.index + 1:
        draft.set(skip_to=index + 1)


def _place(draft: Draft, current: StepStatus) -> int | None:
    """Return where the step is: by its name, nearest to where it was; a check may have another name now.

    Weights that follow from the number of pods change with every change of replicas: the nearest one is meant.
    """
    steps, was = draft.steps, current.index
    same = [index for index, step in enumerate(steps) if step.name == current.name]
    if same:
        return min(same, key=lambda index: abs(index - was))
    if draft.by_number and draft.spec.strategy.steps is None:
        weight = draft.status.weights.candidate
        return min(range(len(steps)), key=lambda index: abs(steps[index].share - weight))
    still_waits = was < len(steps) and steps[was].gate is not None and current.name.startswith("gate ")
    return was if still_waits else None


def _begin_anew(draft: Draft, current: StepStatus) -> None:
    """Go back to the first step; what is known to be harmful about the candidate is kept, what is safe is not."""
    status = draft.status
    # To the next step was asked of another list; to the end is the same in every list.
    next_asked = status.skip_to == current.index + 1
    text = f"{current.name} is no step any more; the steps begin anew with {draft.steps[0].name}"
    draft.weigh(0)
    draft.set(
        phase=Phase.PROGRESSING,
        step=None,
        skip_to=None if next_asked else status.skip_to,
        window_end=None,
        verdict=VerdictKind.NO_DATA,
        verdicts=unearned(draft.spec.analysis, status.verdicts, stage_among(draft.steps, draft.steps[0])),
    )
    draft.move("Restarted", status.candidate, text, warn=True)
