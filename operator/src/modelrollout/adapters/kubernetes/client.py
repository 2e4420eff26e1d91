"""One connection to the API server, speaking raw objects: no model classes, no retries, our errors.

Retries are the business of who calls: the queue backs off a rollout, a reflector its watch.
"""

import json
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from modelrollout import __version__
from modelrollout.adapters.kubernetes.errors import refusal
from modelrollout.adapters.kubernetes.resources import Call, Resource
from modelrollout.api.base import FIELD_MANAGER
from modelrollout.ports import TerminalError, TransientError

USER_AGENT: Final = f"modelrollout/{__version__}"
DEFAULT_KUBECONFIG: Final = str(Path("~/.kube/config").expanduser())
JSON: Final = "application/json"
APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 20.0

Object = dict[str, Any]
Count = Callable[[str, str, int], None]
"""Told of every request: verb, plural of the kind, HTTP code (0: no answer)."""


class Api:
    """A connection; close it when done, or use it as an async context manager."""

    def __init__(self, client: Any, count: Count | None = None) -> None:
        self._client = client
        self._client.user_agent = USER_AGENT
        self.count = count

    @classmethod
    async def connect(cls, kubeconfig: str | None = None, context: str | None = None) -> Self:
        """Connect as the pod's service account, else with the kubeconfig (`kubeconfig`, $KUBECONFIG, ~/.kube/config).

        A kubeconfig or context that is asked for by name wins over the service account. Raises TerminalError
        where there is neither.
        """
        settings = Configuration()
        if kubeconfig is None and context is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            try:
                config.load_incluster_config(client_configuration=settings)
            except config.ConfigException as error:
                raise TerminalError(f"in-cluster credentials: {error}") from None
        else:
            await _load(settings, kubeconfig or os.environ.get("KUBECONFIG") or DEFAULT_KUBECONFIG, context)
        return cls(ApiClient(settings))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()

    async def credentials(self) -> tuple[str, ssl.SSLContext, dict[str, str]]:
        """Return URL, TLS settings and headers for another connection of the same user; headers go out of date."""
        settings = self._client.configuration
        token = await settings.get_api_key_with_prefix("BearerToken")
        headers = {"User-Agent": USER_AGENT, **({"Authorization": token.strip()} if token else {})}
        return settings.host, self._client.rest_client.ssl_context, headers

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        """Read one object, without a namespace one of the whole cluster; NotFound where there is none."""
        return await self._call(Call("get", resource, namespace, name))

    async def list(self, resource: Resource, namespace: str | None, params: Mapping[str, str]) -> Object:
        """Read a page of a collection, as the list object that the API server sends."""
        return await self._call(Call("list", resource, namespace), params=params)

    async def create(self, resource: Resource, namespace: str, body: Object, **params: str) -> Object:
        """Create an object; AlreadyExists where it is there."""
        return await self._call(Call("create", resource, namespace), body=body, params={**_manager(), **params})

    async def apply(self, resource: Resource, body: Object, **params: str) -> Object:
        """Apply an object by server-side apply, as our field manager and with force; returns it as it then is."""
        options = {**_manager(), "force": "true", "fieldValidation": "Strict", **params}
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        return await self._call(Call("patch", resource, namespace, name), body=body, params=options, content=APPLY)

    async def merge(self, resource: Resource, namespace: str, name: str, patch: Object) -> Object:
        """Merge a patch into an object; returns it as it then is."""
        return await self._call(Call("patch", resource, namespace, name), body=patch, params=_manager(), content=MERGE)

    async def patch(
        self, resource: Resource, namespace: str, name: str, version: str, operations: Sequence[Mapping[str, Any]]
    ) -> Object:
        """Change single fields of an object (JSON patch) that is still at that resourceVersion; returns the new state.

        ConflictError where it changed meanwhile: places in lists would be somebody else's.
        """
        # Not a `test`: one that fails is answered with 422, which looks like a field that cannot be.
        body = [*operations, {"op": "replace", "path": "/metadata/resourceVersion", "value": version}]
        call = Call("patch", resource, namespace, name)
        return await self._call(call, body=body, params={**_manager(), "fieldValidation": "Strict"}, content=JSON_PATCH)

    async def replace_status(self, resource: Resource, body: Object) -> Object:
        """Replace the status of an object at the resourceVersion that `body` names; ConflictError when stale."""
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        return await self._call(Call("update", resource, namespace, name), sub="status", body=body, params=_manager())

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        """Delete that very object, and let what it owns go after it; NotFound where it is gone.

        ConflictError where another object took its name.
        """
        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        await self._call(Call("delete", resource, namespace, name), body=body)

    async def watch(
        self, resource: Resource, namespace: str | None, params: Mapping[str, str], silence: float
    ) -> AsyncGenerator[Object]:
        """Yield watch events (`type`, `object`) until the API server ends the stream.

        TransientError where nothing at all arrives for `silence` seconds.
        """
        call = Call("watch", resource, namespace)
        limit = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=silence)
        response = await self._send(call, limit, params={**params, "watch": "true"})
        try:
            async for line in _lines(response, call):
                yield _event(line, call)
        finally:
            response.close()

    async def _call(self, call: Call, **more: Any) -> Object:
        limit = aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=CONNECT_SECONDS)
        response = await self._send(call, limit, **more)
        try:
            return dict(json.loads(await response.read()))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _silence(call, error) from None

    async def _send(  # noqa: PLR0913
        self,
        call: Call,
        limit: aiohttp.ClientTimeout,
        *,
        sub: str | None = None,
        params: Mapping[str, str] | None = None,
        body: Object | Sequence[Mapping[str, Any]] | None = None,
        content: str = JSON,
    ) -> Any:
        method, url, headers, _, _ = await self._client.param_serialize(
            method=_METHODS[call.verb],
            resource_path=call.resource.path(call.namespace, call.name, sub),
            query_params=list((params or {}).items()),
            header_params={"Accept": JSON, "Content-Type": content},
            auth_settings=["BearerToken"],
        )
        code = 0
        try:
            answer = await self._client.call_api(method, url, headers, body, _request_timeout=limit)
            code = answer.status
            if code >= 400:
                raise refusal(call, code, (await answer.read()).decode(errors="replace"))
        except (aiohttp.ClientError, OSError) as error:
            raise _silence(call, error) from None
        finally:
            if self.count is not None:
                self.count(call.verb, call.resource.plural, code)
        return answer.response


_METHODS: Final = {
    "get": "GET",
    "list": "GET",
    "watch": "GET",
    "create": "POST",
    "patch": "PATCH",
    "update": "PUT",
    "delete": "DELETE",
}


def _manager() -> dict[str, str]:
    return {"fieldManager": FIELD_MANAGER}


async def _load(settings: Any, path: str, context: str | None) -> None:
    try:
        await config.load_kube_config(path, context, settings, persist_config=False)
    except (config.ConfigException, OSError) as error:
        raise TerminalError(
            f"kubeconfig {path}: {error}; set KUBECONFIG to a file that names a cluster, or run inside one"
        ) from None


async def _lines(response: Any, call: Call) -> AsyncIterator[bytes]:
    """Yield the lines of a streamed answer."""
    while True:
        try:
            line = await response.content.readline()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _silence(call, error) from None
        if not line:
            return
        yield line


def _event(line: bytes, call: Call) -> Object:
    try:
        return dict(json.loads(line))
    except ValueError as error:
        # A connection cut in the middle of a line looks like its end.
        raise _silence(call, error) from None


def _silence(call: Call, error: Exception) -> TransientError:
    # The text of these errors can hold addresses and headers; their kind says enough.
    return TransientError(f"{call}: {call.verb}: no answer of the API server ({type(error).__name__})")
