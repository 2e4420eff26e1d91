"""Where requests go in the pods of a revision, which need not have the spec's own template."""

from modelrollout.adapters.kubernetes import objects
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.errors import NotFound
from modelrollout.adapters.kubernetes.resources import SERVICES
from modelrollout.api.resource import ModelRollout
from modelrollout.core.revision import object_name


async def port_of(api: Api, rollout: ModelRollout, revision: str) -> int | str:
    """Return the target port of a revision's Service; where there is none yet, what the spec's template says."""
    name = object_name(rollout.metadata.name, revision)
    try:
        raw = await api.get(SERVICES, rollout.metadata.namespace, name)
    except NotFound:
        return objects.target_port(rollout, rollout.spec.template)
    port: int | str = raw["spec"]["ports"][0]["targetPort"]
    return port
