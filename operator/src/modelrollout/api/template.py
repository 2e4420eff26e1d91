"""Pod templates as users write them: kept as they are, and looked at only as far as a rollout depends on them."""

from typing import Annotated, Any

from pydantic import AfterValidator


def _has_containers(template: dict[str, Any]) -> dict[str, Any]:
    pod = template.get("spec")
    containers = pod.get("containers") if isinstance(pod, dict) else None
    if not isinstance(containers, list) or not containers:
        raise ValueError("spec.containers must list at least one container with name and image")
    for index, container in enumerate(containers):
        if not isinstance(container, dict) or not container.get("name") or not container.get("image"):
            raise ValueError(f"spec.containers[{index}] must have name and image")
    return template


PodTemplate = Annotated[dict[str, Any], AfterValidator(_has_containers)]
