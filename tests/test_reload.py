"""Another model without a restart: loaded beside the old one, refused if it is bad, and nobody's request is lost."""

import asyncio
import gc
import json
import shutil
import weakref
from contextlib import asynccontextmanager

import pytest
from tests.served_example import config, counted, flip, make_version, started, versions
from tests.small import seal_small

from textgate.serve.problems import Problem
from textgate.serve.reload import signature

A, B = "v0.1.0", "v0.2.0"


@pytest.fixture
def serving(tmp_path):
    """Return a folder with two versions and a link to the first one."""
    for version in (A, B):
        make_version(tmp_path / "versions", version)
    flip(tmp_path / "champion", tmp_path / "versions" / A)
    return tmp_path


def run(test):
    return asyncio.run(asyncio.wait_for(test(), 600))


def outcomes(variant="champion"):
    return tuple(counted("reloads_total", variant=variant, outcome=outcome) for outcome in ("passed", "refused"))


@asynccontextmanager
async def watched(serving, **changes):
    """Start the models of a folder; yield them and the outcomes since then."""
    async with started(config(serving / "champion", **changes)) as models:
        before = outcomes()
        yield models, lambda: tuple(now - then for now, then in zip(outcomes(), before, strict=True))


async def answering(models):
    return (await models.predict(["snow"], "somebody")).version


def test_look__a_link_that_moved_on_brings_the_new_version_and_back_the_old_one(serving):
    async def test():
        async with watched(serving) as (models, since):
            for number, version in enumerate((B, A, B), start=1):
                flip(serving / "champion", serving / "versions" / version)
                await models.look()
                assert await answering(models) == version
                assert since() == (number, 0)
                assert models.loaded()["champion"].folder == serving / "versions" / version
            about = {"variant": "champion", "kind": "tfidf"}
            told = [
                counted("model_info", version=version, digest=digest_of(serving, version), **about)
                for version in (A, B)
            ]
            assert told == [0, 1]

    run(test)


def digest_of(serving, version):
    return json.loads((serving / "versions" / version / "release.json").read_text())["bundle_digest"]


def test_look__happens_by_itself(serving):
    async def test():
        async with watched(serving, check_seconds=0.01) as (models, _):
            flip(serving / "champion", serving / "versions" / B)
            while await answering(models) != B:  # noqa: ASYNC110 - nothing tells a client either
                await asyncio.sleep(0.01)

    run(test)


def test_look__a_request_in_flight_ends_on_the_old_model_and_the_next_gets_the_new_one(serving):
    async def test():
        async with watched(serving) as (models, _):
            flying = asyncio.create_task(models.predict(["x" * 1_000_000, "snow"], "somebody"))
            await asyncio.sleep(0)
            flip(serving / "champion", serving / "versions" / B)
            looking = asyncio.create_task(models.look())
            while versions(models)["champion"] == A:  # noqa: ASYNC110 - the moment between two steps
                await asyncio.sleep(0)
            assert await answering(models) == B
            await looking
            assert (await flying).version == A

    run(test)


def test_look__under_load_no_request_is_lost(serving):
    async def test():
        async with watched(serving) as (models, since):
            seen, going = [], True

            async def client():
                while going:
                    answered = await models.predict(["snow", "sand"], "somebody")
                    assert [one.label for one in answered.predictions] == ["north", "south"]
                    seen.append((answered.version, answered.digest))

            clients = [asyncio.create_task(client()) for _ in range(8)]
            for version in (B, A, B, A):
                flip(serving / "champion", serving / "versions" / version)
                await models.look()
            going = False
            await asyncio.gather(*clients)
            assert since() == (4, 0)
            assert set(seen) == {(version, digest_of(serving, version)) for version in (A, B)}

    run(test)


def test_look__the_old_models_memory_is_freed(serving):
    async def test():
        async with watched(serving) as (models, _):
            await answering(models)
            old = weakref.ref(models.loaded()["champion"].bundle.classifier)
            flip(serving / "champion", serving / "versions" / B)
            gc.disable()  # it goes by itself, and not when the collector comes by
            try:
                await models.look()
                while old() is not None:  # noqa: ASYNC110 - the thread that loaded is about to let go of it
                    await asyncio.sleep(0)
            finally:
                gc.enable()

    run(test)


def test_look__the_old_models_queue_is_closed(serving):
    async def test():
        async with watched(serving) as (models, _):
            old = models._champion.loaded.batcher
            flip(serving / "champion", serving / "versions" / B)
            await models.look()
            with pytest.raises(Problem, match="shutting down"):
                await old.answer(["snow"])

    run(test)


# --- what is refused


def spoil(folder, how):
    """Do to a version what must not be served."""
    if how == "altered":
        (folder / "bundle" / "tfidf.json").write_text("{}")
    elif how == "half-written":
        (folder / "bundle" / "tfidf.safetensors").unlink()
    elif how == "no manifest":
        (folder / "bundle" / "manifest.json").unlink()
    elif how == "other digest":
        (folder / "bundle" / "manifest.json").unlink()
        (folder / "bundle" / "note.txt").write_text("other")
        seal_small(folder / "bundle")
    elif how == "no release":
        (folder / "release.json").write_text("{}")
    else:
        shutil.rmtree(folder)


@pytest.mark.parametrize("how", ["altered", "half-written", "no manifest", "other digest", "no release", "gone"])
def test_look__a_bad_one_is_refused_once_and_the_old_one_stays(serving, caplog, how):
    spoil(serving / "versions" / B, how)

    async def test():
        async with watched(serving) as (models, since):
            flip(serving / "champion", serving / "versions" / B)
            for _ in range(3):
                await models.look()
                assert await answering(models) == A
            assert since() == (0, 1)
            assert models.ready()

    run(test)
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) == 1
    assert said[0].startswith("champion: another model was not taken: ")


def test_look__a_folder_that_was_half_written_is_taken_when_it_is_whole(serving):
    new, whole = serving / "versions" / "v0.3.0", serving / "versions" / B

    async def test():
        async with watched(serving) as (models, since):
            shutil.copytree(whole, new, ignore=shutil.ignore_patterns("tfidf.safetensors"))
            flip(serving / "champion", new)
            await models.look()
            assert (await answering(models), since()) == (A, (0, 1))
            shutil.copy(whole / "bundle" / "tfidf.safetensors", new / "bundle")
            await models.look()
            assert (await answering(models), since()) == (B, (1, 1))

    run(test)


def test_look__the_same_bundle_elsewhere_or_touched_is_no_reload(serving):
    async def test():
        async with watched(serving) as (models, since):
            served = models.loaded()["champion"]
            copy = shutil.copytree(serving / "versions" / A, serving / "versions" / "copy")
            flip(serving / "champion", copy)
            await models.look()
            (copy / "release.json").touch()
            await models.look()
            assert since() == (0, 0)
            assert models.loaded()["champion"].bundle is served.bundle
            assert models.loaded()["champion"].folder == copy

    run(test)


def test_look__what_serves_goes_on_when_its_folder_is_gone(serving):
    async def test():
        async with watched(serving) as (models, since):
            shutil.rmtree(serving / "versions" / A)
            await models.look()
            assert (await answering(models), since()) == (A, (0, 1))
            (serving / "champion").unlink()
            await models.look()
            assert await answering(models) == A
            make_version(serving / "versions", A)
            flip(serving / "champion", serving / "versions" / A)
            await models.look()
            assert await answering(models) == A

    run(test)


def test_look__an_error_of_the_system_is_tried_again_and_what_serves_goes_on(serving, caplog):
    async def test():
        async with watched(serving) as (models, since):
            flip(serving / "champion", "x" * 300)  # a name that no file system takes
            for tried in (1, 2):
                await models.look()
                assert (await answering(models), since()) == (A, (0, tried))
            flip(serving / "champion", serving / "versions" / B)
            await models.look()
            assert await answering(models) == B

    run(test)
    assert "champion: another model could not be loaded, it will be tried again" in caplog.text


def test_look__a_new_champion_may_have_other_labels_and_it_is_said(serving, caplog):
    make_version(serving / "versions", "v0.3.0", labels=("east", "west"))

    async def test():
        async with watched(serving) as (models, _):
            flip(serving / "champion", serving / "versions" / "v0.3.0")
            await models.look()
            assert await answering(models) == "v0.3.0"

    run(test)
    assert "champion: other labels: east, west" in caplog.text


# --- the challenger


@asynccontextmanager
async def challenged(serving, version):
    flip(serving / "challenger", serving / "versions" / version)
    async with started(config(serving / "champion", serving / "challenger", ("split", 1.0))) as models:
        yield models


def test_look__a_challenger_for_other_labels_is_refused(serving, caplog):
    make_version(serving / "versions", "v0.3.0", labels=("east", "west"))

    async def test():
        async with challenged(serving, "v0.3.0") as models:
            assert versions(models) == {"champion": A}

    run(test)
    assert "gives east, west, the champion north, south: compare models of the same labels" in caplog.text


def test_look__a_challenger_goes_when_the_champion_changes_its_labels_and_comes_back_with_them(serving):
    make_version(serving / "versions", "v0.3.0", labels=("east", "west"))

    async def test():
        async with challenged(serving, B) as models:
            assert versions(models) == {"champion": A, "challenger": B}
            flip(serving / "champion", serving / "versions" / "v0.3.0")
            await models.look()
            assert versions(models) == {"champion": "v0.3.0"}
            assert await answering(models) == "v0.3.0"
            flip(serving / "champion", serving / "versions" / A)
            await models.look()
            assert versions(models) == {"champion": A, "challenger": B}

    run(test)


def test_look__a_challengers_link_that_is_gone_ends_the_experiment(serving):
    async def test():
        async with challenged(serving, B) as models:
            refused = outcomes("challenger")[1]
            assert await answering(models) == B
            (serving / "challenger").unlink()
            await models.look()
            assert versions(models) == {"champion": A}
            assert await answering(models) == A
            assert outcomes("challenger")[1] == refused

    run(test)


def test_look__a_bad_challenger_leaves_the_one_before_it(serving):
    spoil(make_version(serving / "versions", "v0.3.0"), "altered")

    async def test():
        async with challenged(serving, B) as models:
            flip(serving / "challenger", serving / "versions" / "v0.3.0")
            await models.look()
            assert versions(models) == {"champion": A, "challenger": B}

    run(test)


# --- signatures


def test_signature__changes_with_a_file_and_is_none_without_a_folder(serving):
    link = serving / "champion"
    first = signature(link)
    assert signature(link) == first
    (link / "bundle" / "README.md").write_text("# A model")
    second = signature(link)
    (link / "bundle" / "README.md").write_text("# Another model")
    assert signature(link) not in (first, second)
    flip(link, serving / "versions" / B)
    third = signature(link)
    assert len({first, second, third}) == 3
    link.unlink()
    assert signature(link) is None
    link.symlink_to(link)
    assert signature(link) is None
