"""What every router does, on a real API server with the real resource definitions."""

import copy
from collections.abc import Callable

import pytest

from modelrollout.adapters.kubernetes.client import Api
from modelrollout.core.split import Split
from modelrollout.ports import ConflictError, TerminalError
from tests.contract.routers.case import CANDIDATE, FEATURES, ISSUED, STABLE, STICKY, STRATEGIES, Case, Setting
from tests.contract.routers.cases import CASES
from tests.support.kube import Kube, Object

LATCH = "7 the candidate failed: errors +3 %, sure beyond 1 %"

Make = Callable[..., Setting]


@pytest.fixture(params=CASES, ids=lambda case: case.name.replace(" ", "-"))
def case(request: pytest.FixtureRequest) -> Case:
    found = request.param
    assert isinstance(found, Case)
    return found


@pytest.fixture
def make(case: Case, api: Kube, connection: Api, namespace: str) -> Make:
    return lambda **spec: Setting(case, api, connection, namespace, **spec)


@pytest.fixture
def setting(make: Make) -> Setting:
    return make()


def kept(setting: Setting) -> object:
    """Return what is not ours of the object, as it is now."""
    raw = setting.raw()
    return setting.case.kept(copy.deepcopy(raw["spec"])), raw["metadata"].get("annotations", {}).get("team")


async def test_nothing_is_read_before_the_first_write(setting: Setting) -> None:
    assert setting.read() is None


async def test_a_split_is_written_and_read_back(setting: Setting) -> None:
    await setting.set(setting.case.split)
    found = setting.route()
    assert found.split == setting.case.split
    assert list(found.split.weights) == [STABLE, CANDIDATE]
    assert (found.current, found.latch, found.problem) == (True, None, None)


async def test_our_own_write_is_in_the_cache_at_once(setting: Setting) -> None:
    await setting.set(setting.case.split)
    found = setting.router.read(setting.rollout)
    assert found is not None
    assert (found.split, found.current) == (setting.case.split, True)
    assert set(setting.changed) == {setting.key}


async def test_the_order_of_revisions_stays(setting: Setting) -> None:
    share = setting.case.share
    for weights in ({CANDIDATE: share, STABLE: 100 - share}, {STABLE: 100 - share, CANDIDATE: share}):
        await setting.set(Split(weights))
        assert list(setting.route().split.weights.items()) == list(weights.items())


async def test_a_rollout_goes_there_and_back(setting: Setting) -> None:
    for split in (setting.case.whole, setting.case.split, Split({CANDIDATE: 100}), setting.case.whole):
        await setting.set(split)
        found = setting.route()
        assert (found.split, found.current) == (split, True)
    assert CANDIDATE not in setting.told()


async def test_every_feature_is_written_read_back_and_taken_away(setting: Setting) -> None:
    for split in setting.case.features:
        await setting.set(setting.case.whole)
        await setting.set(split)
        found = setting.route()
        assert (found.split, found.current, found.problem) == (split, True, None)
        assert list(found.split.weights) == list(split.weights)
        await setting.set(setting.case.whole)
        assert (setting.route().split, setting.route().current) == (setting.case.whole, True)
        assert CANDIDATE not in setting.told()
        assert "fraud-comparer" not in setting.told()


async def test_one_feature_follows_another_without_a_rest(setting: Setting) -> None:
    for split in (*setting.case.features, setting.case.split, *reversed(setting.case.features)):
        await setting.set(split)
        assert (setting.route().split, setting.route().current) == (split, True)


async def test_writing_the_same_again_changes_nothing(setting: Setting) -> None:
    for split in (setting.case.split, *setting.case.features):
        await setting.set(split, LATCH)
        before, changed = setting.raw(), len(setting.changed)
        await setting.set(split, LATCH)
        assert setting.raw() == before
        assert len(setting.changed) == changed


@pytest.mark.parametrize("feature", FEATURES)
async def test_what_a_router_cannot_do_is_refused_by_name_place_and_remedy(make: Make, feature: str) -> None:
    setting = make()
    wanted = setting.with_spec(strategy=STRATEGIES[feature])
    await setting.router.learn(wanted)
    if feature in setting.case.can:
        setting.router.check(wanted)
        return
    place = "spec.strategy.sticky" if feature in (STICKY, ISSUED) else r"spec.strategy.steps\[1\] \("
    with pytest.raises(TerminalError, match=rf"ModelRollout .*/fraud: {place}.*router {setting.case.router} .*; \w+"):
        setting.router.check(wanted)


async def test_host_names_of_a_preview_are_routed_or_refused(setting: Setting) -> None:
    traffic = {**setting.case.traffic, "preview": {"hostnames": ["preview.example.com"]}}
    setting.rollout = setting.with_spec(traffic=traffic)
    if not setting.case.previews:
        with pytest.raises(TerminalError, match=rf"preview.hostnames: router {setting.case.router} .*; \w+"):
            setting.router.check(setting.rollout)
        return
    setting.router.check(setting.rollout)
    await setting.set(setting.case.split)
    assert "preview.example.com" in setting.told()
    assert setting.route().current


async def test_a_plain_canary_is_never_refused(setting: Setting) -> None:
    steps = {"steps": [{"pause": {}}, {"weight": setting.case.share}, {"switch": {}}]}
    setting.router.check(setting.with_spec(strategy=steps))


async def test_the_latch_comes_with_a_write_and_goes_with_the_next(setting: Setting) -> None:
    await setting.set(setting.case.split)
    assert setting.route().latch is None
    await setting.set(setting.case.whole, LATCH)
    assert setting.route().latch == LATCH
    await setting.set(setting.case.split)
    assert setting.route().latch is None


async def test_what_others_add_stays(setting: Setting) -> None:
    await setting.set(setting.case.whole)
    setting.annotate(team="risk", other="thing")
    before = kept(setting)
    for split in (setting.case.split, *setting.case.features, setting.case.whole):
        await setting.set(split, LATCH)
        assert kept(setting) == before
        assert setting.route().current
    assert setting.raw()["metadata"]["labels"]["team"] == "risk"
    assert setting.raw()["metadata"]["annotations"]["other"] == "thing"


async def test_an_edit_of_ours_is_seen_and_written_over(setting: Setting) -> None:
    wanted = setting.case.split
    await setting.set(wanted)
    ours = setting.raw()["spec"]
    for name, change in setting.case.edits.items():
        setting.edit(change)
        found = setting.route()
        assert not (found.current and found.split == wanted), name
        await setting.set(wanted)
        assert (setting.route().split, setting.route().current) == (wanted, True), name
        assert setting.raw()["spec"] == ours, name


async def test_an_edit_that_was_not_seen_yet_is_not_lost(setting: Setting) -> None:
    """Whoever writes on an old state is told so, or writes only what is ours."""
    await setting.set(setting.case.whole)
    setting.watch()
    setting.annotate(team="other")
    before = kept(setting)
    try:
        await setting.set(setting.case.split)
    except ConflictError:
        setting.watch()
        await setting.set(setting.case.split)
    assert kept(setting) == before
    assert (setting.route().split, setting.route().current) == (setting.case.split, True)


async def test_a_deletion_by_others_is_seen_and_mended(setting: Setting) -> None:
    await setting.set(setting.case.split)
    setting.delete()
    assert setting.read() is None
    if setting.case.adopted:
        with pytest.raises(TerminalError, match=f"{setting.case.resource.kind} .*/{setting.case.object}.*; create it"):
            await setting.set(setting.case.split)
        assert not setting.exists()
        return
    await setting.set(setting.case.split)
    assert (setting.route().split, setting.route().current) == (setting.case.split, True)


def owners(raw: Object) -> list[str]:
    return [owner["uid"] for owner in raw["metadata"].get("ownerReferences", [])]


async def test_deletion_takes_along_what_the_policy_says(make: Make) -> None:
    setting = make(deletionPolicy="Delete")
    splits = (setting.case.split, *setting.case.features)
    for split in splits:
        await setting.set(split)
        assert setting.ours()
        for raw in setting.ours():
            assert owners(raw) == ([] if setting.case.adopted else [setting.rollout.metadata.uid])
    setting.rollout = setting.with_spec(deletionPolicy="Orphan")
    await setting.set(splits[0])
    assert not [raw for raw in setting.ours() if owners(raw)]


async def test_every_object_tells_whose_it_is(setting: Setting) -> None:
    """A watch by the label brings every change of it, and it is told to the right rollout."""
    for split in (setting.case.split, *setting.case.features):
        await setting.set(split)
    setting.watch()
    setting.changed.clear()
    setting.annotate(team="other")
    setting.watch()
    assert set(setting.changed) == {setting.key}


async def test_an_object_of_somebody_else_is_not_taken_over(setting: Setting) -> None:
    if setting.case.adopted:
        pytest.skip("the object is meant to be somebody else's")
    before = setting.create_theirs()
    kind, name = setting.case.resource.kind, f"{setting.key.namespace}/{setting.case.object}"
    with pytest.raises(TerminalError, match=f"{kind} {name} exists and was not made by this rollout .*; delete it"):
        await setting.set(setting.case.whole)
    assert setting.raw() == before
    patch = {"metadata": {"labels": {"modelrollout.dev/name": "fraud"}}}
    resource = setting.case.resource
    setting.api.patch(resource.kind, setting.case.object, patch, api=resource.api, namespace=setting.key.namespace)
    await setting.set(setting.case.whole)
    assert (setting.route().split, setting.route().current) == (setting.case.whole, True)


async def test_a_write_is_accepted_when_the_gateway_says_so(setting: Setting) -> None:
    for split in (setting.case.split, setting.case.whole):
        await setting.set(split)
        if setting.case.accept is not None:
            assert not setting.route().accepted
            setting.case.accept(setting)
        assert setting.route().accepted
