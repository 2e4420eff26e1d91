"""The pages of docs about strategies and capacity show what `plan` draws, and nothing else."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from modelrollout.api.resource import parse
from modelrollout.cli.plan import pictures
from tests.unit.simulate.rollouts import raw

DOCS = Path(__file__).parents[3] / "docs"
PAGES = [*sorted((DOCS / "strategies").glob("*.md")), DOCS / "capacity.md"]
BLOCK = re.compile(r"```(\w*)\n(.*?)\n```", re.DOTALL)


def picture_of(fragment: str) -> str:
    """Return what `plan` draws of a part of a spec, in an otherwise plain rollout of four pods."""
    return pictures(parse(raw(replicas=4, **yaml.safe_load(fragment))))


def parts(page: Path) -> Iterator[tuple[str, str]]:
    """Yield each part of a spec on a page, with the picture that follows it."""
    fragment = None
    for kind, content in BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind == "yaml":
            fragment = content
        elif kind == "text" and fragment is not None:
            yield fragment, content


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_show_what_plan_draws(page: Path) -> None:
    """Where this fails, run `plan` on the part of the spec above the picture, and put what it draws there."""
    found = list(parts(page))
    assert found
    for fragment, shown in found:
        assert shown == picture_of(fragment), fragment


def test_there_is_a_page_for_each_strategy() -> None:
    assert [page.stem for page in PAGES] == ["ab-testing", "blue-green", "canary", "shadow", "capacity"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_of_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
