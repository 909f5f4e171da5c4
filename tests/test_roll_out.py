"""What the registry says is brought to where it is served: fetched, asked, and switched to in one step."""

import fcntl
import shutil
import signal
import time
from pathlib import Path

import pytest
from tests.mlflow_example import VERSIONS, embedded, make_releases, migrated
from tests.project import EXAMPLE
from tests.run_script import finished, run_script

from textgate.bundle import digest
from textgate.errors import CannotTell, Refused
from textgate.registry.roll_out import roll_out, watch
from textgate.serve.served import open_served

A, B, C = VERSIONS


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with three releases. Read only."""
    return make_releases(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """Return a database without anything in it. Read only."""
    return migrated(tmp_path_factory.mktemp("empty"))


@pytest.fixture
def registry(tmp_path, monkeypatch, empty, made):
    """Return a registry with v0.1.0 as champion, in the working folder, which also has configs."""
    shutil.copy(empty, tmp_path / "mlflow.db")
    shutil.copytree(EXAMPLE, tmp_path / "configs")
    found = embedded(tmp_path, monkeypatch)
    found.register(made / A)
    found.promote(A)
    return found


@pytest.fixture
def to(tmp_path):
    return tmp_path / "serving"


def rolled(registry, to):
    return list(roll_out(registry, to))


def links(to):
    names = ("champion", "challenger", "previous")
    return {name: str((to / name).readlink()) for name in names if (to / name).is_symlink()}


def kept(to):
    return sorted(path.name for path in (to / "versions").iterdir())


def test_roll_out__the_champion_is_fetched_and_linked_to_and_said_once(registry, to):
    assert rolled(registry, to) == [f"champion: {A}"]
    assert links(to) == {"champion": f"versions/{A}"}
    assert open_served(to / "champion").version == A
    assert rolled(registry, to) == []


def test_roll_out__the_link_goes_where_the_folder_goes(registry, to, tmp_path):
    rolled(registry, to)
    to.rename(tmp_path / "mounted")
    assert open_served(tmp_path / "mounted" / "champion").version == A


def test_roll_out__a_challenger_comes_and_goes_and_the_champion_before_is_kept(registry, to, made):
    rolled(registry, to)
    registry.register(made / B)
    assert rolled(registry, to) == [f"challenger: {B}"]
    registry.promote(B)
    assert rolled(registry, to) == [f"champion: {B}, {A} was before", "there is no challenger any more"]
    assert links(to) == {"champion": f"versions/{B}", "previous": f"versions/{A}"}
    registry.register(made / C)
    registry.promote(C)
    assert rolled(registry, to) == [f"champion: {C}, {B} was before"]
    assert kept(to) == [B, C]


def test_roll_out__the_way_back_needs_no_fetch(registry, to, made):
    rolled(registry, to)
    registry.register(made / B)
    registry.promote(B)
    rolled(registry, to)
    inode = (to / "versions" / A).stat().st_ino
    registry.promote(A, over=B)
    assert rolled(registry, to) == [f"champion: {A}, {B} was before"]
    assert (to / "versions" / A).stat().st_ino == inode
    assert open_served(to / "champion").version == A


def test_roll_out__without_a_champion_nothing_changes(tmp_path, monkeypatch, to):
    registry = embedded(tmp_path, monkeypatch)
    said = ["there is no production model yet: no version was ever promoted: nothing was changed"]
    assert rolled(registry, to) == said
    assert links(to) == {}


@pytest.mark.parametrize("damage", ["altered", "gone", "no release"])
def test_roll_out__a_damaged_copy_is_fetched_anew(registry, to, damage):
    rolled(registry, to)
    folder = to / "versions" / A
    if damage == "altered":
        (folder / "bundle" / "tfidf.json").write_text("{}")
    elif damage == "gone":
        shutil.rmtree(folder)
    else:
        (folder / "release.json").unlink()
    assert rolled(registry, to) == [f"champion: {A}"]
    assert open_served(to / "champion").version == A
    assert kept(to) == [A]


def test_roll_out__a_version_that_does_not_answer_is_refused_and_what_serves_stays(registry, to, made):
    rolled(registry, to)
    registry.register(made / B)
    registry.promote(B)
    rolled(registry, to)
    bundle = to / "versions" / A / "bundle"
    (bundle / "modeling.py").write_text("print('hello')\n")  # sealed anew, so that only the smoke test finds it
    reseal_as_released(bundle)
    registry.promote(A, over=B)
    with pytest.raises(Refused, match=r"modeling\.py: is code"):
        rolled(registry, to)
    assert links(to)["champion"] == f"versions/{B}"


def reseal_as_released(bundle):
    from tests.small import seal_small

    (bundle / "manifest.json").unlink()
    seal_small(bundle)
    release = bundle.parent / "release.json"
    text = release.read_text()
    start = text.index('"bundle_digest": "') + len('"bundle_digest": "')
    release.write_text(text[:start] + digest(bundle) + text[start + 64 :])


def test_roll_out__a_folder_where_a_link_should_be_is_left_alone(registry, to):
    (to / "champion").mkdir(parents=True)
    with pytest.raises(CannotTell, match=r"serving/champion is no link: move it away"):
        rolled(registry, to)
    assert (to / "champion").is_dir()


def test_roll_out__what_a_killed_fetch_left_is_removed_and_what_is_not_ours_stays(registry, to):
    for name in (".fetching", "..fetching.abc", f".{A}.old", "v9.9.9", "notes"):
        (to / "versions" / name).mkdir(parents=True)
    rolled(registry, to)
    assert kept(to) == ["notes", A]


def test_roll_out__two_at_once_take_turns(registry, to):
    going = roll_out(registry, to)
    next(going)
    with (to / ".lock").open() as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert list(going) == []
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


# --- the script


def start(to, *options):
    return run_script("roll_out", "--to", to, *options)


def test_script__without_a_registry_what_serves_stays_and_it_says_so(registry, to):
    rolled(registry, to)
    Path("mlflow.db").write_bytes(b"no database" * 1000)
    code, out, err = finished(start(to))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("cannot tell: ")
    assert "mlflow.db: file is not a database" in err
    assert open_served(to / "champion").version == A


def test_script__watching_says_a_problem_once_and_goes_on(registry, to):
    shutil.copy("mlflow.db", "kept.db")
    Path("mlflow.db").write_bytes(b"no database" * 1000)
    watching = start(to, "--watch", "0.01")
    try:
        assert watching.stdout.readline().startswith("cannot tell: ")
        looks = {(to / ".lock").stat().st_mtime_ns}
        while len(looks) < 4:  # it looks again, and says nothing more
            assert watching.poll() is None
            looks.add((to / ".lock").stat().st_mtime_ns)
            time.sleep(0.01)
        shutil.copy("kept.db", "new.db")
        Path("new.db").replace("mlflow.db")
        assert watching.stdout.readline() == f"champion: {A}\n"
    finally:
        watching.send_signal(signal.SIGINT)
    code, out, err = finished(watching)
    assert (code, out) == (130, "")
    assert err.startswith("interrupted")


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_watch__takes_a_time_that_can_be_waited(seconds):
    with pytest.raises(CannotTell, match=r"--watch takes seconds, more than 0 and at most 86400, not "):
        watch(list, seconds)
