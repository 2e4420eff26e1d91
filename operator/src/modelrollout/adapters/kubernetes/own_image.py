"""The image that comparers are run from: the operator's own, as its pod says, whoever changed it on the way there."""

from typing import Any, Final

from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.errors import NotFound
from modelrollout.adapters.kubernetes.resources import PODS
from modelrollout.ports import TerminalError

CONTAINER: Final = "operator"
"""The operator's container, as the chart and the manifests call it; others may have been put beside it."""
_REMEDY: Final = "start the operator with --comparer-image, or set shadow.comparer.enabled to false"


class OwnImage:
    """Finds the image once; `given` is what the operator was told, and is not looked up."""

    def __init__(self, api: Api, namespace: str, pod: str, given: str | None = None) -> None:
        self._api = api
        self._namespace = namespace
        self._pod = pod
        self._found = given

    async def find(self) -> str:
        """Return the image; TerminalError where no pod of that name tells it."""
        if self._found is None:
            self._found = _image_of(await self._read())
        return self._found

    async def _read(self) -> dict[str, Any]:
        where = f"Pod {self._namespace}/{self._pod}"
        try:
            return dict(await self._api.get(PODS, self._namespace, self._pod))
        except NotFound:
            raise TerminalError(
                f"{where}: not found, so the operator does not know its image and can run no comparer; {_REMEDY}"
            ) from None
        except TerminalError as error:
            raise TerminalError(f"{error}; or {_REMEDY}") from None


def _image_of(pod: dict[str, Any]) -> str:
    containers = pod["spec"]["containers"]
    own = next((one for one in containers if one["name"] == CONTAINER), containers[0])
    return str(own["image"])
