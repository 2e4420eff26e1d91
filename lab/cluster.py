"""Brings up the whole lab, step by step, each step only if it is needed."""

from lab import network, preflight
from lab.images import Images
from lab.node import Node
from lab.parts import Parts
from lab.paths import Paths
from lab.progress import Progress
from lab.workloads import CHART, Workloads

BARE_PARTS = ("kube", "pause", "coredns")
BARE_IMAGES = ("lab-base", "lab-pause", "lab-coredns")
FIXED_STEPS = 5  # network, control plane, images, node, workloads


class Cluster:
    """The lab as a whole; `bare` leaves out gateways, Prometheus and operator."""

    def __init__(self, paths: Paths, *, bare: bool) -> None:
        self.paths = paths
        self.bare = bare
        self.parts = Parts(paths)
        self.images = Images(paths, self.parts)
        self.node = Node(paths, self.parts.bin("kube"))
        self.workloads = Workloads(paths, self.parts)
        if bare:
            self.images.images = [image for image in self.images.images if image.name in BARE_IMAGES]

    @property
    def has_operator(self) -> bool:
        """Whether this checkout has an operator to install."""
        known = {image.name for image in self.images.images}
        return not self.bare and "operator" in known and (CHART / "Chart.yaml").exists()

    def up(self, progress: Progress) -> None:
        """Build what is missing, boot or repair the cluster, apply the workloads."""
        preflight.check_networks(network.routes())
        preflight.check_owner(self.paths)
        self.parts.store.sweep()
        packages = preflight.missing_packages()
        parts = self.parts.missing(BARE_PARTS if self.bare else None)
        images = self.images.missing()
        progress.total = bool(packages) + len(parts) + len(images) + FIXED_STEPS + self.has_operator + (not self.bare)
        if packages:
            with progress.step("install Debian packages") as step:
                step.say(", ".join(packages))
                preflight.install_packages(packages, step)
        self.parts.build(parts, progress)
        # The node first: a cluster that lost a part is back before any image is built.
        self._boot(progress)
        for image in images:
            with progress.step(f"build image {image.name}") as step:
                self.images.build(image, step)
        self._fill(progress)
        if not self.bare and not self.has_operator:
            progress.print("no operator installed: operator/Dockerfile or charts/modelrollout/Chart.yaml is missing")

    def _boot(self, progress: Progress) -> None:
        with progress.step("network and configuration") as step:
            if self.node.is_repairable():
                step.say("in place")
            else:
                self.node.prepare(step)
        with progress.step("etcd, API server, controllers") as step:
            self.node.control_plane(step)
        with progress.step("containerd, kubelet, node Ready") as step:
            self.node.runtime(step)
            self.node.workers(step)

    def _fill(self, progress: Progress) -> None:
        with progress.step("load images") as step:
            have = self.images.loaded(self.node, step)
            wanted = [image for image in self.images.images if not image.tar]  # the base is for builds alone
            stale = [image for image in wanted if have.get(image.reference) != self.images.key(image)]
            for number, image in enumerate(stale, 1):
                step.say(f"{number}/{len(stale)} {image.name}")
                self.images.load(image, self.node, step)
        with progress.step("workloads") as step:
            self.workloads.apply(step, bare=self.bare)
            if not self.bare:
                self.workloads.apply_envoy(step)
            self.workloads.restart([image for image in stale if image.reference in have], step)
            self.workloads.wait(step, bare=self.bare)
        if self.has_operator:
            with progress.step("operator") as step:
                self.workloads.install_operator(step)
        if not self.bare:
            with progress.step("second gateway") as step:
                self.workloads.wait_envoy(step)
