"""What Tab offers after `kubectl modelrollout`."""

import sys

import pytest

from modelrollout.cli import completing


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    for name in ("_MODELROLLOUT_COMPLETE", "_TYPER_COMPLETE_FISH_ACTION", "_TYPER_COMPLETE_ARGS"):
        monkeypatch.setenv(name, "")  # put back after the test, whatever `main` sets


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["sta"], ["status\tShow where a rollout stands.", ":4"]),
        (["status", "--wa"], ["--watch", ":4"]),
        (["presets", "li"], ["list", ":4"]),
        (["promote", "it's not a name"], [":4"]),
        (["lint", "-f", ""], [":0"]),
    ],
)
def test_commands_options_and_files(words, lines, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["kubectl_complete-modelrollout", *words])
    completing.main()
    found = capsys.readouterr().out.splitlines()
    assert len(found) == len(lines)
    assert all(line.startswith(start) for line, start in zip(found, lines, strict=True)), found


def test_without_a_word_all_commands(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["kubectl_complete-modelrollout"])
    completing.main()
    found = [line.partition("\t")[0] for line in capsys.readouterr().out.splitlines()]
    assert {"list", "status", "promote", "abort", "explain", "simulate"} <= set(found)
    assert found[-1] == ":4"
