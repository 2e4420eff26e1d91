"""The lab as a benchmark sees it: an API server, its audit log, and time to wait for things."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

import httpx
from lab.paths import Paths
from tests.support.kube import Kube, KubeError
from tests.support.lab import LabDown, connected

from benchmarks.audit import AuditLog
from benchmarks.operator import Operator
from benchmarks.report import BenchmarkError

POLL: Final = 0.5
PREFIX: Final = "modelrollout-bench-"
T = TypeVar("T")


@dataclass(frozen=True)
class Lab:
    """A running lab."""

    kube: Kube
    audit: AuditLog
    operator: Operator

    @contextmanager
    def namespace(self, name: str) -> Iterator[str]:
        """Yield a new namespace; it and all in it are gone afterwards."""
        full = PREFIX + name
        self._remove(full)
        self.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": full}})
        try:
            yield full
        finally:
            self._remove(full)

    def quiet(self, namespace: str, seconds: float, *, within: float) -> None:
        """Wait until the operator has sent nothing but leases, for that namespace or as a whole, for so long."""
        end = time.monotonic() + within
        begun = mark = self.audit.mark()
        since = time.monotonic()
        while time.monotonic() - since < seconds:
            if time.monotonic() > end:
                raise BenchmarkError(f"the operator was not quiet for {seconds:g} s within {within:g} s")
            time.sleep(POLL)
            begun, mark = mark, self.audit.mark()
            if any(call.resource != "leases" for call in self.audit.since(begun, namespace)):
                since = time.monotonic()

    def _remove(self, namespace: str) -> None:
        # The rollouts first: an operator that sees them would write again what the namespace's end takes away.
        if not any(item["metadata"]["name"] == namespace for item in self.kube.list("Namespace", api="v1")):
            return
        path = self.kube.path("modelrollout.dev/v1alpha1", "ModelRollout", namespace=namespace)
        self.kube.request("DELETE", path)
        wait(f"no rollouts in {namespace}", lambda: not self.kube.request("GET", path)["items"], seconds=60)
        self.kube.delete("Namespace", namespace, api="v1")
        wait(f"the end of namespace {namespace}", lambda: self._is_gone(namespace), seconds=300)

    def _is_gone(self, namespace: str) -> bool:
        try:
            self.kube.get("Namespace", namespace, api="v1")
        except KubeError as error:
            return error.code == httpx.codes.NOT_FOUND
        return False


def wait(what: str, look: Callable[[], T], *, seconds: float) -> T:
    """Return the first thing that `look` finds (anything true); raises BenchmarkError after `seconds`."""
    end = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > end:
            raise BenchmarkError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(POLL)
    return found


@contextmanager
def connect() -> Iterator[Lab]:
    """Yield the running lab; raises BenchmarkError where there is none."""
    try:
        with connected() as kube:
            yield Lab(kube, AuditLog(Paths.from_environment().audit_log), Operator(kube))
    except (LabDown, PermissionError) as error:
        raise BenchmarkError(str(error)) from None
