"""What a step shows, and what it logs."""

import io
from pathlib import Path

import pytest
from lab.errors import StepError
from lab.progress import NAME_WIDTH, Progress, render, tail


def test_render_aligns_numbers_and_times() -> None:
    first = render(1, 12, "kubelet", 0.54)
    last = render(12, 12, "workloads", 10.0)
    assert first.startswith("[ 1/12] kubelet....")
    assert first.endswith(" 0.5 s")
    assert first.index(" 0.5 s") == last.index(" 10.0 s") == len("[ 1/12] ") + NAME_WIDTH


def test_render_without_a_time_is_a_beginning() -> None:
    assert render(3, 9, "images", None) == "[3/9] images ..."


def test_render_shows_the_detail() -> None:
    assert "images (2/7 traefik)" in render(3, 9, "images", 1.0, "2/7 traefik")


def test_plain_output_is_one_line_a_step(tmp_path: Path) -> None:
    stream = io.StringIO()
    progress = Progress("up", 2, tmp_path, stream)
    with progress.step("first") as step:
        step.say("all of it")
    with progress.step("second"):
        pass
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("[1/2] first ... ")
    assert lines[0].endswith(" s (all of it)")


def test_a_failed_command_shows_the_end_of_its_own_log(tmp_path: Path) -> None:
    stream = io.StringIO()
    progress = Progress("up", 2, tmp_path, stream)
    with progress.step("first") as step:
        step.run(["echo", "before"])
    with pytest.raises(StepError, match="ended with 3") as caught, progress.step("second") as step:
        step.run(["sh", "-c", "echo broken >&2; exit 3"])
    assert "broken" in caught.value.tail
    assert "before" not in caught.value.tail
    assert caught.value.log == tmp_path / "up.log"
    assert "FAILED" in stream.getvalue().splitlines()[1]


def test_tail_keeps_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"{number}\n" for number in range(100)))
    assert tail(log, 0, lines=2) == "98\n99"
