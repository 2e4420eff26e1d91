"""The demo's pure pieces: what it reads and what it prints."""

import io
import json
from string import Template

import pytest
import yaml
from lab.demo.foreign_images import loader
from lab.demo.kubectl import split
from lab.demo.load import Count, Tally, job
from lab.demo.timeline import Timeline
from lab.paths import SOURCE


@pytest.mark.parametrize("cut", [0, 1, 7, 8, 9, 15, 17])
def test_objects_of_a_watch_are_read_wherever_the_stream_is_cut(cut: int) -> None:
    data = '{"a":"é"}\n{"b": 2}\n'.encode()
    first, rest = split(data[:cut])
    second, rest = split(rest + data[cut:])
    assert [*first, *second] == [{"a": "é"}, {"b": 2}]
    assert rest == b""


def test_progress_lines_add_up_and_other_lines_are_skipped() -> None:
    line = json.dumps({"event": "progress", "versions": {"1": {"requests": 5, "failed": 0}, "2": Count(2, 1).__dict__}})
    tally = Tally.of([line, 'time="now" level=error', "[1]", line, '{"event":"summary","requests":14}'])
    assert tally.versions == {"1": Count(10, 0), "2": Count(4, 2)}
    assert (tally.requests, tally.failed) == (14, 2)
    assert tally.summary == {"event": "summary", "requests": 14}


def progress(times: dict[str, int], failed: int = 0) -> str:
    answers = {"1": {"requests": sum(times.values()), "failed": failed}}
    return json.dumps({"event": "progress", "versions": answers, "times": times})


@pytest.mark.parametrize(("share", "time"), [(0, 1.0), (0.5, 1.0), (0.9, 2.5), (0.99, 40.0), (1, 40.0)])
def test_quantiles_of_times_are_bounds_of_their_buckets(share: float, time: float) -> None:
    assert Tally.of([progress({"1": 50}), progress({"2.5": 40, "40": 10})]).quantile(share) == time


def test_without_answers_there_is_no_quantile() -> None:
    with pytest.raises(ValueError, match="no answers"):
        Tally().quantile(0.99)


def test_a_stretch_is_what_came_after_a_copy() -> None:
    tally = Tally.of([progress({"1": 5}, failed=1)])
    before = tally.copy()
    tally.read(progress({"1": 2, "8": 3}, failed=2))
    after = tally.since(before)
    assert after.versions == {"1": Count(5, 2)}
    assert (after.quantile(0.4), after.quantile(0.5)) == (1.0, 8.0)
    assert before.versions == {"1": Count(5, 1)}


def test_the_load_is_a_job_with_all_settings_filled_in() -> None:
    made = yaml.safe_load(job(name="l", namespace="n", image="i", target="http://t", host="h", rate=3))
    container = made["spec"]["template"]["spec"]["containers"][0]
    env = {item["name"]: item["value"] for item in container["env"]}
    assert env == {"TARGET": "http://t", "HOST": "h", "RATE": "3", "DURATION": "30m", "GOGC": "400"}


def test_the_rollout_needs_nothing_but_what_the_demo_fills_in() -> None:
    names = ("namespace", "image", "version", "error_rate", "gateway", "gateway_namespace", "host")
    text = Template((SOURCE / "demo" / "fraud.yaml").read_text()).substitute(dict.fromkeys(names, "x"))
    assert yaml.safe_load(text)["kind"] == "ModelRollout"


def test_each_move_is_printed_once() -> None:
    out = io.StringIO()
    timeline = Timeline(out)
    moves = [
        {"move": "Weight", "weight": 5, "message": "0% -> 5%"},
        {"move": "Promoted", "weight": 0, "message": "all"},
    ]
    assert timeline.moves(moves[:1]) == moves[:1]
    assert timeline.moves(moves) == moves[1:]
    weights = [line.split()[2:5] for line in out.getvalue().splitlines()]
    assert weights == [["5", "%", "Weight"], ["100", "%", "Promoted"]]


def test_a_table_has_its_numbers_on_the_right() -> None:
    out = io.StringIO()
    Timeline(out).table(("version", "requests"), [("1", "12"), ("none", "5")])
    assert out.getvalue().splitlines() == ["  version   requests", "  1               12", "  none             5"]


@pytest.mark.parametrize(
    ("context", "command"),
    [
        ("kind-dev", ["kind", "load", "docker-image", "--name", "dev", "a:1"]),
        ("k3d-dev", ["k3d", "image", "import", "--cluster", "dev", "a:1"]),
        ("production", None),
    ],
)
def test_images_go_only_into_clusters_that_take_them(context: str, command: list[str] | None) -> None:
    assert loader(context, ["a:1"]) == command
