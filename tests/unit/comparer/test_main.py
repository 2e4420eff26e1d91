"""The command: options that cannot be used, a start and an end."""

import asyncio
import json
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from typer.testing import CliRunner, Result

from modelrollout.cli.main import app
from tests.unit.comparer.stage import LOCAL, PATIENCE, Model, serving

WHO = ["--rollout=fraud", "--namespace=shop", "--stable=b2", "--candidate=c2"]
URLS = ["--stable-url=http://b", "--candidate-url=http://c"]


def invoke(*arguments: str, env: Mapping[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, ["comparer", *arguments], env={"COLUMNS": "300", **(env or {})})


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--candidate=b2", "--candidate: is stable's revision too"),
        ("--stable=B 2", "--stable: 'B 2' is no name"),
        ("--stable-url=fraud:80", "--stable-url: is no address of a server; write for instance http://"),
        ("--stable-url=http://user:pass@fraud", "--stable-url: is no address of a server"),
        ("--stable-url=http://fraud?x=1", "--stable-url: is no address of a server"),
        ("--compare=fuzzy", "--compare: 'fuzzy' is not one of auto, exact, json, protocol"),
        ("--tolerance=-1", "--tolerance: -1.0 is no distance"),
        ("--tolerance=nan", "--tolerance: nan is no distance"),
        ("--relative-tolerance=inf", "--relative-tolerance: inf is no distance"),
        ("--path=$.", "--path: '$.' is no JSON path"),
        ("--ignore=a[", "--ignore: 'a[' is no JSON path"),
        ("--redact=a b", "--redact: 'a b' is no JSON path"),
        ("--noise=5", "--noise: '5' is not a percentage"),
        ("--noise=101%", "--noise: '101%' is more than all requests"),
        ("--timeout=5", "--timeout: '5' is not a duration"),
        ("--timeout=0s", "--timeout: must be more than nothing"),
        ("--concurrency=0", "--concurrency"),
        ("--queue=-1", "--queue"),
        ("--queue-bytes=64MB", "--queue-bytes: '64MB' is no size; write for instance 512Ki"),
        ("--max-body=0", "--max-body: '0' is no size"),
        ("--listen=8080", "--listen: '8080' is no address; write for instance 0.0.0.0:8080"),
        ("--metrics-listen=x:99999", "--metrics-listen: 'x:99999' is no address"),
        ("--log-format=xml", "--log-format: 'xml' is not one of json, text"),
        ("--log-level=loud", "--log-level: 'loud' is not one of debug"),
        ("--nonsense", "No such option: --nonsense"),
    ],
)
def test_a_bad_option_is_named(option: str, words: str) -> None:
    found = invoke(*WHO, *URLS, option)
    assert found.exit_code == 2
    assert words in found.output


def test_what_must_be_given() -> None:
    found = invoke(*URLS)
    assert found.exit_code == 2
    assert "Missing option '--rollout'" in found.output


def test_options_may_come_from_the_environment() -> None:
    env = {
        "MODELROLLOUT_COMPARER_ROLLOUT": "fraud",
        "MODELROLLOUT_COMPARER_STABLE": "b2",
        "MODELROLLOUT_COMPARER_CANDIDATE": "c2",
        "MODELROLLOUT_COMPARER_STABLE_URL": "http://b",
        "MODELROLLOUT_COMPARER_CANDIDATE_URL": "http://c",
        "MODELROLLOUT_COMPARER_MAX_BODY": "1Mi",
        "MODELROLLOUT_COMPARER_IGNORE": "id time",
        "MODELROLLOUT_COMPARER_LOG_LEVEL": "loud",
    }
    assert "--log-level: 'loud'" in invoke(env=env).output


async def started(*options: str) -> asyncio.subprocess.Process:
    """Start the process as a container does."""
    program = [sys.executable, "-W", "error", "-c", "from modelrollout.cli.main import main; main()", "comparer", *WHO]
    return await asyncio.create_subprocess_exec(*program, *options, "--log-format=json", stderr=asyncio.subprocess.PIPE)


async def test_from_start_to_end() -> None:
    async with serving(Model()) as stable, serving(Model(1)) as candidate:
        urls = [f"--stable-url={stable.url}", f"--candidate-url={candidate.url}"]
        process = await started(*urls, f"--listen={LOCAL}:0", f"--metrics-listen={LOCAL}:0")
        assert process.stderr is not None
        async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as client:
            first: dict[str, Any] = json.loads(await process.stderr.readline())
            words = first["message"].replace(",", "").split()
            port, metrics_port = words[words.index("port") + 1], words[-1]
            secret = {"Authorization": "Bearer top-secret"}
            async with client.post(f"http://{LOCAL}:{port}/p?key=top-secret", data=b"top-secret", headers=secret) as r:
                assert r.status == 202
            async with client.get(f"http://{LOCAL}:{metrics_port}/readyz") as r:
                assert r.status == 200
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
            rest = (await process.stderr.read()).decode()
        assert first["message"].startswith("comparing c2 with b2 of ModelRollout shop/fraud;")
        assert [json.loads(line)["message"] for line in rest.splitlines()] == ["stopping"]
        assert len(stable.asked) == 1


async def test_a_port_that_is_taken() -> None:
    with socket.create_server((LOCAL, 0)) as taken:
        process = await started(*URLS, f"--listen={LOCAL}:{taken.getsockname()[1]}", f"--metrics-listen={LOCAL}:0")
        async with asyncio.timeout(PATIENCE):
            _, told = await process.communicate()
    assert process.returncode == 1
    assert "cannot listen" in json.loads(told)["message"]
