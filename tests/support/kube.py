"""A small synchronous client of raw Kubernetes objects, for tests."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

Object = dict[str, Any]
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


class KubeError(Exception):
    """The API server refused a request; `code` is the HTTP status, the text its message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Kube:
    """One API server, spoken to with every right."""

    url: str
    token: str = field(repr=False)
    kubeconfig: Path
    kubectl_program: Path
    http: httpx.Client
    _resources: dict[tuple[str, str], tuple[str, bool]] = field(default_factory=dict, repr=False)

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        user: str | None = None,
    ) -> Object:
        """Send one request; returns the object of the answer. Raises KubeError for a refusal.

        `user` sends it in the name of somebody else, with nobody's groups but system:authenticated.
        """
        headers = {"Content-Type": content_type}
        if user is not None:
            headers["Impersonate-User"] = user
        content = None if body is None else json.dumps(body)
        answer = self.http.request(method, path, content=content, params=params, headers=headers)
        if answer.is_error:
            try:
                message = str(answer.json().get("message", ""))
            except ValueError:
                message = answer.text
            raise KubeError(answer.status_code, message)
        return dict(answer.json())

    def path(self, api: str, kind: str, name: str = "", *, namespace: str | None = None, sub: str = "") -> str:
        """Return the path of a collection or object; asks the API server how a kind is called."""
        plural, namespaced = self._resource(api, kind)
        root = f"/api/{api}" if api == "v1" else f"/apis/{api}"
        place = f"/namespaces/{namespace}" if namespaced and namespace else ""
        return f"{root}{place}/{plural}" + (f"/{name}" if name else "") + (f"/{sub}" if sub else "")

    def create(self, raw: Object, **params: str) -> Object:
        """Create an object, unknown fields refused."""
        path = self.path(raw["apiVersion"], raw["kind"], namespace=_namespace(raw))
        return self.request("POST", path, raw, params={"fieldValidation": "Strict", **params})

    def apply(self, raw: Object, *, manager: str = "test", sub: str = "", **params: str) -> Object:
        """Apply an object by server-side apply with force, unknown fields refused."""
        path = self.path(raw["apiVersion"], raw["kind"], raw["metadata"]["name"], namespace=_namespace(raw), sub=sub)
        options = {"fieldManager": manager, "force": "true", "fieldValidation": "Strict", **params}
        return self.request("PATCH", path, raw, params=options, content_type=APPLY)

    def patch(
        self, kind: str, name: str, patch: Object, *, api: str, namespace: str | None = None, sub: str = ""
    ) -> Object:
        """Merge a patch into an object or, with `sub`, into its status or scale."""
        path = self.path(api, kind, name, namespace=namespace, sub=sub)
        return self.request("PATCH", path, patch, params={"fieldValidation": "Strict"}, content_type=MERGE)

    def get(self, kind: str, name: str, *, api: str, namespace: str | None = None, sub: str = "") -> Object:
        """Read one object, or its status or scale."""
        return self.request("GET", self.path(api, kind, name, namespace=namespace, sub=sub))

    def list(self, kind: str, *, api: str, namespace: str | None = None, labels: str = "") -> Sequence[Object]:
        """Read the objects of a kind, of one namespace or of all."""
        params = {"labelSelector": labels} if labels else None
        return list(self.request("GET", self.path(api, kind, namespace=namespace), params=params)["items"])

    def delete(self, kind: str, name: str, *, api: str, namespace: str | None = None) -> None:
        """Delete one object."""
        self.request("DELETE", self.path(api, kind, name, namespace=namespace))

    def kubectl(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl against this API server; the caller looks at returncode, stdout and stderr."""
        command = [str(self.kubectl_program), f"--kubeconfig={self.kubeconfig}", *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)

    def _resource(self, api: str, kind: str) -> tuple[str, bool]:
        if (api, kind) not in self._resources:
            found = self.request("GET", f"/api/{api}" if api == "v1" else f"/apis/{api}")["resources"]
            for item in found:
                if "/" not in item["name"]:
                    self._resources[api, item["kind"]] = (item["name"], item["namespaced"])
        try:
            return self._resources[api, kind]
        except KeyError:
            raise KubeError(404, f"no kind {kind} in {api}") from None


def _namespace(raw: Object) -> str | None:
    namespace = raw["metadata"].get("namespace")
    return None if namespace is None else str(namespace)
