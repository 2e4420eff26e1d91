"""Moves told outside of the cluster, over real HTTP: what is sent, and what is not waited for."""

import asyncio
import contextlib
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from modelrollout.adapters.notify import Notices, installed
from modelrollout.adapters.notify.webhook import sender, url_of
from modelrollout.api.resource import ModelRollout
from modelrollout.api.status import Move
from modelrollout.ports import TerminalError
from tests.unit.adapters.gates.stage import Server, rollout

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def move(number: int = 1, **more: Any) -> Move:
    return Move(at=AT, move="RolledBack", revision="r2", weight=0, message=f"errors rose {number}", **more)


@contextlib.asynccontextmanager
async def notices(
    listeners: Mapping[str, Callable[..., Any]], **more: Any
) -> AsyncIterator[tuple[Notices, Counter[str]]]:
    counts: Counter[str] = Counter()
    made = Notices(listeners, lambda result: counts.update([result]), **more)
    task = asyncio.create_task(made.run())
    try:
        yield made, counts
    finally:
        task.cancel()


async def test_a_move_is_told_as_json(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cr3t\n")
    async with Server().serving() as chat, notices({"webhook": sender(chat.url + "/hooks/x", token)}) as (made, counts):
        made.notify(rollout(), move(by="ann"))
        await made.told()
        (asked,) = chat.asked
        assert (asked.method, asked.path) == ("POST", "/hooks/x")
        assert asked.headers["Authorization"] == "Bearer s3cr3t"
        assert json.loads(asked.body) == {
            "text": "shop/fraud: RolledBack of revision r2 (by ann): errors rose 1",
            "rollout": "fraud",
            "namespace": "shop",
            "move": "RolledBack",
            "revision": "r2",
            "weight": 0,
            "message": "errors rose 1",
            "by": "ann",
            "at": "2026-01-02T03:04:05Z",
        }
        assert counts == {"sent": 1}


@pytest.mark.parametrize(
    ("answers", "asked", "result"),
    [
        ([503, 429, 200], 3, "sent"),
        ([500], 4, "failed"),
        ([404], 1, "failed"),
        ([(302, "", {"Location": "/x"})], 1, "failed"),
    ],
    ids=str,
)
async def test_tries(answers: list[Any], asked: int, result: str, caplog: pytest.LogCaptureFixture) -> None:
    async with (
        Server().serving() as chat,
        notices({"webhook": sender(chat.url + "/s3cr3t", None, first_wait=0.001)}) as (
            made,
            counts,
        ),
    ):
        chat.says(*answers)
        made.notify(rollout(), move())
        await made.told()
        assert len(chat.asked) == asked
        assert counts == {result: 1}
        assert "s3cr3t" not in caplog.text
        if result == "failed":
            assert "shop/fraud: notifier webhook not told of RolledBack: 127.0.0.1: HTTP" in caplog.text


async def test_a_token_that_cannot_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with Server().serving() as chat, notices({"webhook": sender(chat.url, tmp_path / "none")}) as (made, counts):
        made.notify(rollout(), move())
        await made.told()
        assert counts == {"failed": 1}
        assert not chat.asked
        assert "cannot read the file" in caplog.text


async def test_nobody_waits_for_a_slow_listener(caplog: pytest.LogCaptureFixture) -> None:
    go, told = asyncio.Event(), []

    async def slow(_: ModelRollout, move: Move) -> None:
        await go.wait()
        told.append(move.message)

    async with notices({"slow": slow}, waiting=2) as (made, counts):
        made.notify(rollout(), move(0))
        await asyncio.sleep(0)
        for number in range(1, 5):
            made.notify(rollout(), move(number))
        assert counts == {"dropped": 2}
        assert "nobody is told of RolledBack: 2 moves wait already" in caplog.text
        go.set()
        await made.told()
        assert told == ["errors rose 0", "errors rose 1", "errors rose 2"]
        assert counts == {"dropped": 2, "sent": 3}


async def test_listeners_of_other_packages(caplog: pytest.LogCaptureFixture) -> None:
    told: list[tuple[str, str]] = []

    class Odd:
        async def __call__(self, _: ModelRollout, move: Move) -> None:
            told.append(("odd", move.move))

    def broken(rollout: ModelRollout, move: Move) -> None:
        raise RuntimeError("token=hunter2")

    def plain(rollout: ModelRollout, move: Move) -> None:
        told.append(("plain", rollout.metadata.name))

    caplog.set_level(logging.DEBUG)
    async with notices({"broken": broken, "odd": Odd(), "plain": plain}) as (made, counts):
        made.notify(rollout(), move())
        await made.told()
        assert told == [("odd", "RolledBack"), ("plain", "fraud")]
        assert counts == {"failed": 1, "sent": 2}
        assert "notifier broken not told of RolledBack: RuntimeError" in caplog.text
        assert "hunter2" not in caplog.text


def package(folder: Path, point: str) -> None:
    (folder / "their_notifier.py").write_text("def tell(rollout, move): pass\n")
    info = folder / "their_notifier-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-notifier\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[modelrollout.notifiers]\npager = {point}\n")


def test_another_package_brings_a_notifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert installed() == {}
    package(tmp_path, "their_notifier:tell")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert installed()["pager"].__name__ == "tell"


def test_a_notifier_that_cannot_be_loaded_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, "their_notifier:call")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(TerminalError, match=r"notifier pager \(their_notifier:call\): AttributeError"):
        installed()


@pytest.mark.parametrize("url", ["chat.example.com", "ftp://chat.example.com", "https://", "https://[", ""])
def test_a_url_is_looked_at_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=r"is no URL|must begin with") as refused:
        url_of(url + ("/s3cr3t" if url else ""))
    assert "s3cr3t" not in str(refused.value)
