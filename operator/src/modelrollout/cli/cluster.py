"""The API server as the command line needs it: raw objects, synchronous, faults in one line."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlencode, urlsplit

import urllib3
import yaml
from kubernetes import config
from kubernetes.client import ApiClient, ApiException, Configuration

from modelrollout import __version__
from modelrollout.api.base import API_VERSION, KIND, NAME_LABEL, PLURAL, REQUEST_ANNOTATION
from modelrollout.cli.errors import CliError, ExitCode
from modelrollout.cli.options import Where
from modelrollout.core.split import COMPARER

FIELD_MANAGER: Final = "kubectl-modelrollout"
PATIENCE: Final = 10.0
"""Seconds that the API server may take for an answer."""
CONNECT: Final = 5.0
SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
MERGE: Final = "application/merge-patch+json"
PAGE: Final = 500
_UNUSABLE: Final = (config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, LookupError, AttributeError)
"""What the client raises of a kubeconfig that is none."""

Object = dict[str, Any]
Refuse = Callable[[str, int, bytes], CliError]
"""Makes a fault for people of what was asked for, a status and the body of a refusal."""


class Cluster:
    """A connection with the rights of the person who runs the command."""

    def __init__(self, client: Any, namespace: str, user: str, patience: float = PATIENCE) -> None:
        self._client = client
        self.namespace = namespace
        self._user = user
        self._patience = patience

    @classmethod
    def connect(cls, where: Where, patience: float = PATIENCE) -> Self:
        """Connect as the kubeconfig says; inside a pod without one, as its service account."""
        settings = Configuration()
        settings.retries = False
        file = where.kubeconfig or os.environ.get("KUBECONFIG")
        inside = "KUBERNETES_SERVICE_HOST" in os.environ and not file and where.context is None
        try:
            if inside and not Path("~/.kube/config").expanduser().exists():
                config.load_incluster_config(client_configuration=settings)
                own, user = (SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip(), ""
            else:
                config.load_kube_config(file, where.context, settings, persist_config=False)
                own, user = _context(file, where.context)
        except _UNUSABLE as error:
            raise CliError(
                ExitCode.UNREACHABLE,
                f"kubeconfig {file or '~/.kube/config'}: {_one_line(error)}; "
                "set KUBECONFIG or pass --kubeconfig and --context",
            ) from None
        client = ApiClient(settings)
        client.user_agent = f"kubectl-modelrollout/{__version__}"
        return cls(client, where.namespace or own, user, patience)

    def rollout(self, name: str) -> Object:
        """Read one rollout."""
        return self._call("GET", self._path(name), what=f"ModelRollout {self.namespace}/{name}")

    def rollouts(self, *, everywhere: bool = False) -> list[Object]:
        """Read the rollouts of the namespace, or of all."""
        place = "all namespaces" if everywhere else f"namespace {self.namespace}"
        path = f"/apis/{API_VERSION}/{PLURAL}" if everywhere else self._path()
        return self._all(path, {}, f"modelrollouts of {place}")

    def deployments(self, name: str) -> list[Object]:
        """Read the Deployments of a rollout's revisions."""
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments"
        what = f"deployments of namespace {self.namespace}"
        return self._all(path, {"labelSelector": f"{NAME_LABEL}={name}"}, what)

    def watch(self, name: str, version: str, seconds: int) -> Iterator[Object]:
        """Yield the rollout whenever it changes after `version`, for that long at most.

        Ends early where the API server ends the stream. CliError where the rollout is deleted.
        """
        what = f"ModelRollout {self.namespace}/{name}"
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={name}",
            "resourceVersion": version,
            "timeoutSeconds": str(max(1, seconds)),
        }
        try:
            response = self._send("GET", self._path(), query, what=what, patience=seconds + 5.0)
            for line in _lines(response):
                event = json.loads(line)
                if event["type"] == "DELETED":
                    raise CliError(ExitCode.NOT_FOUND, f"{what} was deleted")
                if event["type"] == "ERROR":
                    return
                yield event["object"]
        except (urllib3.exceptions.HTTPError, OSError, ValueError):
            # A cut stream: who follows reads the rollout anew, and learns there what is wrong.
            return

    def disagreements(self, name: str) -> Object:
        """Read what a rollout's comparer has kept, through the API server's proxy for Services."""
        service = f"{name}-{COMPARER}"
        path = f"/api/v1/namespaces/{self.namespace}/services/{service}:metrics/proxy/disagreements"
        what = f"the comparer of ModelRollout {self.namespace}/{name}"
        return self._call("GET", path, what=what, refuse=no_comparer)

    def ask(self, name: str, request: str) -> Object:
        """Write a request into the rollout's annotation; returns the rollout as it then is."""
        body = {"metadata": {"annotations": {REQUEST_ANNOTATION: request}}}
        what = f"ModelRollout {self.namespace}/{name}"
        return self._call("PATCH", self._path(name), {"fieldManager": FIELD_MANAGER}, body=body, what=what)

    def who(self) -> str:
        """Return who we are to the API server; the kubeconfig's user where it does not tell."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        try:
            path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
            answer = self._call("POST", path, body=review, what="SelfSubjectReview")
            return str(answer["status"]["userInfo"]["username"])
        except (CliError, KeyError, TypeError):
            return self._user

    def _path(self, name: str | None = None) -> str:
        path = f"/apis/{API_VERSION}/namespaces/{self.namespace}/{PLURAL}"
        return path if name is None else f"{path}/{name}"

    def _all(self, path: str, query: Mapping[str, str], what: str) -> list[Object]:
        items: list[Object] = []
        more = ""
        while True:
            page = self._call("GET", path, {**query, "limit": str(PAGE), "continue": more}, what=what)
            items += page.get("items") or []
            more = page.get("metadata", {}).get("continue") or ""
            if not more:
                return items

    def _call(  # noqa: PLR0913
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        what: str,
        body: Object | None = None,
        refuse: Refuse | None = None,
    ) -> Object:
        response = self._send(method, path, query or {}, what=what, body=body, refuse=refuse)
        try:
            return dict(json.loads(response.data))
        except (urllib3.exceptions.HTTPError, OSError, ValueError, TypeError) as error:
            raise self._unreachable(error) from None

    def _send(  # noqa: PLR0913
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        *,
        what: str,
        body: Object | None = None,
        patience: float | None = None,
        refuse: Refuse | None = None,
    ) -> Any:
        """Return the urllib3 response of a request that succeeded, not read yet."""
        filled = {key: value for key, value in query.items() if value}
        content = MERGE if method == "PATCH" else "application/json"
        try:
            method, url, headers, payload, _ = self._client.param_serialize(
                method,
                f"{path}?{urlencode(filled)}" if filled else path,
                header_params={"Accept": "application/json", "Content-Type": content},
                body=body,
                auth_settings=["BearerToken"],
            )
            answer = self._client.call_api(
                method, url, headers, payload, _request_timeout=(CONNECT, patience or self._patience)
            )
            if answer.status >= 400:
                raise (refuse or refusal)(what, answer.status, answer.response.data)
        except ApiException as error:
            if error.status:
                raise (refuse or refusal)(what, error.status, str(error.body or "").encode()) from None
            raise self._unreachable(error) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(error) from None
        return answer.response

    def _unreachable(self, error: Exception) -> CliError:
        host = urlsplit(self._client.configuration.host).netloc.rpartition("@")[2]
        return CliError(
            ExitCode.UNREACHABLE,
            f"the cluster at {host} {_silence(error)}; check --context, and that `kubectl version` works",
        )


def refusal(what: str, status: int, body: bytes) -> CliError:
    """Turn a refusal of the API server into a fault for people."""
    try:
        said = json.loads(body)
        details, message = said.get("details") or {}, str(said.get("message") or "")
    except (ValueError, AttributeError):
        details, message = {}, ""
    message = message or f"HTTP {status}"
    if status == 404 and details.get("name"):
        return CliError(ExitCode.NOT_FOUND, f"{what} does not exist; see `modelrollout list -A`")
    if status == 404:
        return CliError(
            ExitCode.UNREACHABLE, f"the cluster does not know {KIND} ({API_VERSION}); install the operator first"
        )
    if status == 401:
        return CliError(ExitCode.UNREACHABLE, f"{what}: the cluster refuses your credentials; log in again")
    if status == 403:
        return CliError(ExitCode.UNREACHABLE, f"{what}: {message}; ask for that right, or use another --context")
    code = ExitCode.USAGE if status in (400, 422) else ExitCode.UNREACHABLE
    return CliError(code, f"{what}: {message}")


def no_comparer(what: str, status: int, body: bytes) -> CliError:
    """Turn a refusal on the way to a comparer into a fault for people."""
    if status == 404:
        text = "does not run: it does only while a shadow step compares; see report for what a shadow ended with"
        return CliError(ExitCode.USAGE, f"{what} {text}")
    if status in (502, 503, 504):
        return CliError(ExitCode.UNREACHABLE, f"{what} does not answer: its pod is not ready; try again, or look at it")
    return refusal(what, status, body)


def _context(file: str | None, name: str | None) -> tuple[str, str]:
    """Return namespace and user of the context in use."""
    contexts, active = config.list_kube_config_contexts(file)
    chosen = next((one for one in contexts if one["name"] == name), active) if name else active
    inner = (chosen or {}).get("context") or {}
    return str(inner.get("namespace") or "default"), str(inner.get("user") or "")


def _lines(response: Any) -> Iterator[bytes]:
    """Yield the lines of a stream as soon as they are whole."""
    rest = b""
    for chunk in response.stream(amt=None, decode_content=True):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole


def _silence(error: Exception) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "has a certificate that the kubeconfig's certificate-authority does not vouch for"
    return f"does not answer ({type(error).__name__})"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
