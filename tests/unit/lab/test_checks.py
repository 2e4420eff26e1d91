"""Small decisions of the lab that need no machine."""

from pathlib import Path

import pytest
from lab.errors import LabError
from lab.paths import SOURCE
from lab.preflight import check_networks
from lab.status import duration
from lab.teardown import mounts_under
from lab.toolchain import PACKAGES, package_for, parse_version
from lab.workloads import deployments_by_image, full_reference


def test_routes_elsewhere_are_no_obstacle() -> None:
    check_networks(["default", "192.168.1.0/24", "10.0.0.0/16", "172.17.0.0/16"])


@pytest.mark.parametrize("route", ["10.214.3.0/24", "10.0.0.0/8"])
def test_a_route_into_the_labs_networks_is_refused(route: str) -> None:
    with pytest.raises(LabError, match=route):
        check_networks([route])


def test_mounts_are_listed_deepest_first_and_only_ours() -> None:
    table = "\n".join(
        [
            "tmpfs /var/lib/lab/kubelet/pods/a tmpfs rw 0 0",
            "tmpfs /var/lib/lab/kubelet/pods/a/volumes/with\\040space tmpfs rw 0 0",
            "tmpfs /var/lib/laboratory tmpfs rw 0 0",
        ]
    )
    assert mounts_under((Path("/var/lib/lab"),), table) == [
        "/var/lib/lab/kubelet/pods/a/volumes/with space",
        "/var/lib/lab/kubelet/pods/a",
    ]


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("modelrollout/operator:dev", "docker.io/modelrollout/operator:dev"),
        ("docker.io/modelrollout/operator:dev", "docker.io/modelrollout/operator:dev"),
        ("registry.example/fraud:1.5", "registry.example/fraud:1.5"),
        ("localhost/fraud:1", "localhost/fraud:1"),
        ("host:5000/fraud", "host:5000/fraud"),
    ],
)
def test_full_reference(image: str, full: str) -> None:
    assert full_reference(image) == full


def test_deployments_by_image_sees_init_containers() -> None:
    pod = {"containers": [{"image": "modelrollout/a:dev"}], "initContainers": [{"image": "modelrollout/b:dev"}]}
    listed = {"items": [{"metadata": {"name": "web"}, "spec": {"template": {"spec": pod}}}]}
    expected = {"docker.io/modelrollout/a:dev", "docker.io/modelrollout/b:dev"}
    assert deployments_by_image(listed) == [("web", expected)]


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go version go1.9 linux/amd64", (1, 9, 0)),
        ("module example.dev/lab\n\ngo 1.26.7\n", (1, 26, 7)),
        ("gccgo", None),
    ],
)
def test_parse_version(text: str, version: tuple[int, int, int] | None) -> None:
    assert parse_version(text) == version


def test_the_oldest_go_that_is_new_enough_is_taken() -> None:
    assert package_for((1, 26, 0)) == PACKAGES[0]
    assert package_for((1, 26, 7)) == PACKAGES[1]
    with pytest.raises(LabError, match=r"9\.0\.0"):
        package_for((9, 0, 0))


@pytest.mark.parametrize("module", sorted((SOURCE / "go").iterdir()), ids=lambda module: module.name)
def test_every_program_says_which_go_it_needs_and_there_is_one(module: Path) -> None:
    needed = parse_version((module / "go.mod").read_text())
    assert needed is not None
    assert package_for(needed)


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-"), (5.9, "5s"), (65, "1m05s"), (3720, "1h02m")], ids=["none", "s", "m", "h"]
)
def test_duration(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text
