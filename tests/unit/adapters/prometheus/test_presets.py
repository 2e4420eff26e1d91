"""Presets: ours can be used, others' are found, broken ones are named."""

import pytest

from modelrollout.adapters.prometheus.presets import PresetError, Presets

GOOD = """
name: mine
about: Mine.
labels: {svc: "{service}"}
source: pod
errors: {counter: requests_total, bad: {code: "5.."}}
"""


def test_ours_are_complete() -> None:
    presets = Presets.installed()
    assert {"traefik", "model-server"} <= set(presets.names)
    for name in ("traefik", "model-server"):
        assert presets[name].source_of("errors").series
        assert presets[name].source_of("latency").series


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(PresetError, match=r"spec.analysis.preset: unknown preset 'istoi'; known: mine$"):
        Presets({"x/mine.yaml": GOOD})["istoi"]


def test_a_metric_that_the_preset_lacks_is_named() -> None:
    with pytest.raises(PresetError, match=r"preset 'mine' does not measure latency \(it measures errors\); remove"):
        Presets({"x/mine.yaml": GOOD})["mine"].source_of("latency")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("name: mine", "name: other"), "name is 'other'; name the preset like its file"),
        (('"{service}"', '"{route}"'), "exactly one of them must hold {service} or {revision}"),
        (('"{service}"', '"{what}"'), "unknown placeholder {what}"),
        (("5..", "5("), "is no regular expression"),
        (("requests_total", "requests total"), "errors.counter"),
        (("source: pod", "sauce: pod"), "sauce: Extra inputs"),
        (("source: pod\n", ""), "source: Field required"),
        (("bad: {code", "bad: {}, x: {code"), "errors.x: Extra inputs"),
        (('bad: {code: "5.."}', "bad: {}"), "errors: Value error, give counter and bad, or good and failed"),
        ((GOOD, "[1, 2"), "x/mine.yaml"),
        ((GOOD, "just words"), "x/mine.yaml"),
    ],
)
def test_a_broken_file_is_named_and_spoils_no_other(change: tuple[str, str], fault: str) -> None:
    presets = Presets({"x/mine.yaml": GOOD.replace(*change), "y/fine.yaml": GOOD.replace("mine", "fine")})
    assert presets.names == ["fine"]
    with pytest.raises(PresetError) as error:
        presets["mine"]
    assert fault in str(error.value)
    assert "usable: fine" in str(error.value)


def test_two_files_of_one_name() -> None:
    presets = Presets({"x/mine.yaml": GOOD, "y/mine.yaml": GOOD.replace("Mine.", "Yours.")})
    assert presets["mine"].about == "Mine."
