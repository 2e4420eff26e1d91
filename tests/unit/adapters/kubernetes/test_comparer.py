"""The comparer's Deployment and Service."""

import subprocess
import sys
from typing import Any

import pytest

from modelrollout.adapters.kubernetes.comparer import Shape, comparer_deployment, comparer_service
from modelrollout.adapters.kubernetes.objects import deployment, service
from modelrollout.api.resource import ModelRollout, parse
from modelrollout.api.strategy import Comparer
from modelrollout.core.comparer import digest
from tests.support.rollouts import REVISION, document, template

CANDIDATE = "c2d3f4g5h6"


def rollout(name: str = "fraud", **spec: Any) -> ModelRollout:
    raw = document("shop", **spec)
    raw["metadata"]["name"] = name
    return parse(raw)


def made(comparing: Comparer | None = None, shape: Shape | None = None, **spec: Any) -> dict[str, Any]:
    image = "registry.example/modelrollout:1"
    return comparer_deployment(
        rollout(**spec), REVISION, CANDIDATE, image, comparing=comparing or Comparer(), shape=shape
    )


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


def test_names_fit() -> None:
    longest = rollout("a" * 52)
    assert comparer_service(longest)["metadata"]["name"] == "a" * 52 + "-comparer"
    assert len(comparer_service(longest)["metadata"]["name"]) <= 63


def test_it_says_what_it_compares() -> None:
    found = made()["metadata"]
    assert found["name"] == "fraud-comparer"
    assert found["labels"] == {
        "modelrollout.dev/name": "fraud",
        "modelrollout.dev/role": "comparer",
        "modelrollout.dev/compares": f"{REVISION}.{CANDIDATE}.{digest(Comparer())}",
        "app.kubernetes.io/managed-by": "modelrollout",
    }


def test_nobody_takes_its_pods_for_those_of_a_revision() -> None:
    pods = made()["spec"]["template"]["metadata"]["labels"]
    assert "modelrollout.dev/name" not in pods
    assert "modelrollout.dev/revision" not in pods
    for other in (
        service(rollout(), REVISION, template())["spec"]["selector"],
        deployment(rollout(), REVISION, template(), 1)["spec"]["selector"]["matchLabels"],
        comparer_service(rollout("fraud-2"))["spec"]["selector"],
    ):
        assert not selects(other, pods)
    assert selects(comparer_service(rollout())["spec"]["selector"], pods)
    assert selects(made()["spec"]["selector"]["matchLabels"], pods)


def test_its_service_has_both_ports() -> None:
    ports = comparer_service(rollout())["spec"]["ports"]
    assert [(port["name"], port["port"], port["targetPort"]) for port in ports] == [
        ("http", 80, "http"),
        ("metrics", 8081, "metrics"),
    ]


def test_it_may_do_nothing_that_it_need_not() -> None:
    pod = made()["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]


def test_it_goes_with_its_rollout_where_that_is_wanted() -> None:
    assert "ownerReferences" not in made()["metadata"]
    raw = {**document("shop", deletionPolicy="Delete")}
    raw["metadata"] = {**raw["metadata"], "uid": "1-2"}
    owned = comparer_service(parse(raw))["metadata"]["ownerReferences"]
    assert owned[0]["uid"] == "1-2"


@pytest.mark.parametrize(
    ("comparing", "words"),
    [
        (Comparer(), ["--tolerance=1e-06", "--no-top1", "--noise=5%", "--timeout=5s", "--redact-inputs"]),
        (Comparer(tolerance=0.25, relative_tolerance=0.01), ["--tolerance=0.25", "--relative-tolerance=0.01"]),
        (Comparer(top1=True, keep_inputs=True, samples=7), ["--top1", "--no-redact-inputs", "--samples=7"]),
        (Comparer(paths=["$.a[*]", "b"], ignore=["id"]), ["--path=$.a[*]", "--path=b", "--ignore=id"]),
        (Comparer(redact=["ssn"]), ["--redact=ssn"]),
    ],
)
def test_arguments_say_what_the_rollout_says(comparing: Comparer, words: list[str]) -> None:
    (container,) = made(comparing)["spec"]["template"]["spec"]["containers"]
    assert container["args"][0] == "comparer"
    assert set(words) <= set(container["args"])
    assert f"--stable-url=http://fraud-{REVISION}.shop.svc:80" in container["args"]
    assert f"--candidate-url=http://fraud-{CANDIDATE}.shop.svc:80" in container["args"]


def test_the_comparer_takes_these_arguments() -> None:
    everything = Comparer(
        top1=True, paths=["$.a"], ignore=["b"], redact=["c"], keep_inputs=True, noise="0.5%", timeout="1m30s"
    )
    (container,) = made(everything, Shape(options=["--concurrency=8", "--log-level=nonsense"]))["spec"]["template"][
        "spec"
    ]["containers"]
    # It looks at the level last: that it complains about it means that it has read all others.
    program = [sys.executable, "-c", "from modelrollout.cli.main import main; main()"]
    ended = subprocess.run([*program, *container["args"]], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "--log-level: 'nonsense'" in ended.stderr


def test_a_private_registry() -> None:
    pod = made(shape=Shape(pull_secrets=["registry"]))["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
