"""The PodDisruptionBudget of a rollout: one over the pods of all its revisions."""

from collections.abc import Callable
from typing import Any

from modelrollout.adapters.kubernetes import objects
from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.resources import BUDGETS
from modelrollout.api.base import NAME_LABEL
from modelrollout.api.resource import ModelRollout


def disruption_budget(rollout: ModelRollout) -> dict[str, Any] | None:
    """Return the apply body of the budget that the spec asks for, if it does."""
    budget = rollout.spec.disruption_budget
    if budget is None:
        return None
    name = rollout.metadata.name
    head = objects.metadata(BUDGETS, rollout, name, {NAME_LABEL: name})
    bounds = budget.model_dump(by_alias=True, exclude_none=True)
    return {**head, "spec": {"selector": {"matchLabels": {NAME_LABEL: name}}, **bounds}}


def budget_fits(routes: Routes) -> Callable[[ModelRollout], bool]:
    """Return what tells whether the budget that is there is the one that the spec asks for."""

    def fits(rollout: ModelRollout) -> bool:
        meta = rollout.metadata
        wanted, found = disruption_budget(rollout), routes.get(BUDGETS, meta.namespace, meta.name)
        if found is None or not objects.is_ours(found, {NAME_LABEL: meta.name}):
            return wanted is None
        if wanted is None:
            return not objects.is_ours(found, {objects.MANAGED_BY: "modelrollout"})
        spec = found.get("spec") or {}
        return all(spec.get(field) == value for field, value in wanted["spec"].items())

    return fits
