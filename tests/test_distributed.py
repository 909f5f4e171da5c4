"""Two processes train what one trains: real torchrun, gloo, processes that are killed, and one line that says so."""

import fcntl
import mmap
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file
from tests.serve_process import until
from tests.small import LABELS, data_report, small_rows, task, transformer_config
from tests.test_train import choice, write_rows

from textgate import records
from textgate.bundle import verify
from textgate.errors import CannotTell
from textgate.evidence import Epoch, TrainReport
from textgate.files import sha256_file
from textgate.models.processors import processors
from textgate.rows import fingerprint, split_hashes
from textgate.train.finetune import finetune
from textgate.train.launch import wanted
from textgate.train.processes import ALONE, BLOCK, TOLD, Processes, joined

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "train.py"
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
MEMORY = "out of memory: close other programs, or take a smaller batch_size or fewer rows"
AGAIN = "run the same command again: it goes on behind the last whole epoch"
# In batches of 16, the last has one row: too few for two processes.
LEARNS = {"epochs": 4, "patience": 4, "dropout": 0.0, "freeze_embeddings": True, "freeze_layers": 1}
FINETUNE = """
import sys
from pathlib import Path
import torch
from tests.small import task
from tests.test_distributed import LEARNS, odd
from textgate.errors import run
from textgate.files import sha256_file
from textgate.train.finetune import finetune
from textgate.train.processes import joined
def main():
    torch.set_num_threads(1)
    base, folder = map(Path, sys.argv[1:])
    with joined("cpu") as processes:
        model, epochs, _ = finetune(odd(task(**LEARNS)), base, folder / "checkpoint", processes)
        (folder / f"epochs-{processes.rank}").write_text("\\n".join(epoch.model_dump_json() for epoch in epochs))
        with processes.copy_of(folder / "large") as copy:
            (folder / f"copy-{processes.rank}").write_text(f"{copy} {sha256_file(copy)}")
sys.exit(run(main))
"""


def odd(usual):
    """Return the task with one row more."""
    texts, targets = small_rows(161)
    return replace(usual, train=(texts, targets))


def start(*command, cwd=ROOT):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    words = [str(word) for word in command]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(words, cwd=cwd, env=environment, start_new_session=True, **pipes)


def ended(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def rank(process, number):
    """Return the process of this rank that was started below another one."""
    children = psutil.Process(process.pid).children(recursive=True)
    return next(child for child in children if child.environ().get("RANK") == str(number))


@pytest.fixture(scope="module")
def together(tiny_base, tmp_path_factory):
    """Return (exit code, output, folder) of a training by two processes under torchrun."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "script.py").write_text(FINETUNE)
    with (folder / "large").open("wb") as file:  # more than is sent at once
        file.write(os.urandom(1000))
        file.truncate(BLOCK - 1)
        file.seek(0, os.SEEK_END)
        file.write(os.urandom(1000))
    code, out, err = ended(start(*TORCHRUN, folder / "script.py", tiny_base, folder))
    assert code == 0, err
    return out, folder


@pytest.fixture(scope="module")
def alone(tiny_base, tmp_path_factory):
    """Return the history and the checkpoint's weights of a training by one process."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("one") / "checkpoint"
    _, epochs, _ = finetune(odd(task(**LEARNS)), tiny_base, path)
    torch.set_num_threads(before)
    return epochs, load_file(path)


def history(folder, number):
    return [Epoch.model_validate_json(line) for line in (folder / f"epochs-{number}").read_text().splitlines()]


def test_torchrun__two_processes_have_the_loss_curve_of_one(alone, together):
    found = history(together[1], 0)
    losses = [epoch.train_loss for epoch in alone[0]]
    assert losses[-1] < losses[0] / 2  # it learns
    assert [epoch.train_loss for epoch in found] == pytest.approx(losses, rel=0.02, abs=0.002)
    assert found[-1].valid_macro_f1 == pytest.approx(alone[0][-1].valid_macro_f1, abs=0.05)


def test_torchrun__two_processes_end_with_nearly_the_weights_of_one(alone, together):
    found = load_file(together[1] / "checkpoint")
    moved = 0.0
    for name in (name for name in found if name.startswith("now.") and name.endswith("weight")):
        apart = (found[name] - alone[1][name]).abs().mean()
        assert apart < 0.1 * alone[1][name].abs().mean() + 1e-3, name
        moved += float(apart)
    assert moved > 0  # the sums were added up in another order, so these are two trainings


def test_torchrun__the_first_process_alone_speaks_and_all_know_the_same(together):
    assert together[0].count("epoch 1:") == 1
    first, second = ([(epoch.train_loss, epoch.valid_macro_f1) for epoch in history(together[1], n)] for n in (0, 1))
    assert first == second
    assert sorted(path.name for path in together[1].glob("[ce][hp]*")) == ["checkpoint", "epochs-0", "epochs-1"]


def test_copy_of__each_process_has_the_first_one_s_file_under_its_own_name(together):
    folder = together[1]
    (first, one), (second, other) = ((folder / f"copy-{number}").read_text().split() for number in (0, 1))
    assert first == str(folder / "large") != second
    assert not Path(second).exists()
    assert one == other == sha256_file(folder / "large")


def project(folder, base):
    """Write rows, and a choice of a transformer in two processes."""
    slow = transformer_config(base=base, **LEARNS | {"epochs": 20, "patience": 20, "processes": 2})
    made = choice(slow=slow)
    made = made.model_copy(update={"train": made.train.model_copy(update={"threads": 1})})
    (folder / "requirements.txt").write_text("numpy\n")
    for split, count in (("train", 161), ("valid", 24), ("test", 4), ("external", 4)):
        texts, targets = small_rows(count, seed=count)
        write_rows(folder / "build", split, texts, [LABELS[target] for target in targets])
    found = fingerprint(split_hashes(folder / "build" / "data"))
    records.write(folder / "build" / "choice.json", made)
    records.write(folder / "build" / "data" / "data.json", data_report().model_copy(update={"fingerprint": found}))
    return folder


def hold_up(process, room=500):
    """Let what a process prints stand still behind so many characters, until somebody reads: 20 epochs have more."""
    pipe = os.open(f"/proc/self/fd/{process.stdout.fileno()}", os.O_WRONLY | os.O_NONBLOCK)
    size = fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, mmap.PAGESIZE)
    os.write(pipe, b"\n" * (size - room))
    os.close(pipe)


def behind_an_epoch(process, folder):
    """Wait until a training that is held up has left a checkpoint."""
    try:
        until(lambda: process.poll() is not None or any((folder / "build" / "checkpoints").glob("*.safetensors")), 600)
        assert process.poll() is None, ended(process)
    except AssertionError:
        process.kill()
        raise


def killed(folder):
    """Start the training, kill its second process behind the first epoch, and return what that ended with."""
    process = start(sys.executable, SCRIPT, cwd=folder)
    hold_up(process)
    behind_an_epoch(process, folder)
    rank(process, 1).send_signal(signal.SIGKILL)
    return ended(process)


def test_train__a_killed_process_ends_all_with_one_line_and_the_next_run_goes_on(tmp_path, wheel_base):
    folder = project(tmp_path, wheel_base)
    code, _, err = killed(folder)
    assert (code, err.strip()) == (2, f"cannot tell: process 2 of 2 was ended by SIGKILL: {AGAIN}")
    # No baseline yet: while the first process made one, the others would wait, and not for longer than they may.
    assert sorted(path.name for path in (folder / "build").iterdir()) == ["checkpoints", "choice.json", "data"]
    code, out, err = ended(start(sys.executable, SCRIPT, cwd=folder))
    assert (code, err.strip()) == (0, "")
    assert "in 2 processes" in out
    assert "epoch 1:" not in out
    assert out.count("epoch 20:") == 1
    report = records.read(folder / "build" / "train.json", TrainReport, "train")
    assert (report.processes, len(report.epochs)) == (2, 20)
    manifest = verify(folder / "build" / "model", report.bundle_digest)
    assert manifest.config["model"]["processes"] == 2


LAUNCH = """
import os, sys
from pathlib import Path
from textgate.errors import run
from textgate.train.launch import start
for script in sys.argv[1:]:
    os.environ.pop("TEXTGATE_REASON", None)
    code = run(lambda: start(2, Path(script)))
    print("ended with", code, file=sys.stderr, flush=True)
sys.exit(code)
"""
# What one of two processes does, by its rank, while the other waits; and what that ends with.
ENDS = {
    "0-refuses": ("raise Refused('foreign weights')", 1, "refused: foreign weights"),
    "0-cannot": ("raise CannotTell('no rows')", 2, "cannot tell: no rows"),
    "0-aborts": ("os.abort()", 2, f"cannot tell: process 1 of 2 was ended by SIGABRT: {AGAIN}"),
    "1-full": (
        "raise MemoryError",
        2,
        f"cannot tell: process 2 of 2 ended with 2 (cannot tell: {MEMORY}): {AGAIN}",
    ),
    "1-exits": ("os._exit(7)", 2, f"cannot tell: process 2 of 2 ended with 7: {AGAIN}"),
    "9-waits": ("pass", None, None),
}
ENDING = """
import os, sys, time
from pathlib import Path
from textgate.errors import CannotTell, Refused, run
def main():
    if os.environ["RANK"] != "0":
        os.environ.pop("TEXTGATE_REASON")  # as joined() does
    if os.environ["RANK"] == "{rank}":
        {does}
    there = Path(sys.argv[0]).with_suffix(".there")
    if os.environ["RANK"] == "1":
        there.touch()
    while not there.exists():
        time.sleep(0.1)
    print("ready", flush=True)  # both are: a signal reaches both
    time.sleep(60)
sys.exit(run(main))
"""


def launched(folder, *names):
    """Start what starts two processes, for each of these ends one after the other."""
    scripts = [folder / f"{name}.py" for name in names]
    for name, script in zip(names, scripts, strict=True):
        script.write_text(ENDING.format(rank=name[0], does=ENDS[name][0]))
    return start(sys.executable, "-c", LAUNCH, *scripts)


def test_start__says_in_one_line_which_process_ended_and_why(tmp_path):
    names = [name for name, (_, code, _) in ENDS.items() if code]
    _, _, err = ended(launched(tmp_path, *names))
    expected = "".join(f"{line}\nended with {code}\n" for _, code, line in map(ENDS.get, names))
    assert err == expected


@pytest.mark.parametrize(
    ("sent", "code", "line"),
    [
        (signal.SIGTERM, 2, f"cannot tell: the training was ended by SIGTERM: {AGAIN}\n"),
        (signal.SIGINT, 130, "interrupted: run the same command again, finished stages are kept\n"),
    ],
)
def test_start__stopped_itself_it_leaves_no_process_behind(tmp_path, sent, code, line):
    process = launched(tmp_path, "9-waits")
    next(found for found in process.stdout if found == "ready\n")
    below = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(sent)
    assert ended(process)[::2] == (code, f"{line}ended with {code}\n")
    assert not psutil.wait_procs(below, timeout=60)[1]


def asked(*processes, device="cpu"):
    """Return a choice of transformers that ask for so many processes."""
    named = {f"slow-{number}": transformer_config(processes=each) for number, each in enumerate(processes)}
    found = choice(**named)
    return found.model_copy(update={"train": found.train.model_copy(update={"device": device})})


def test_wanted__is_what_the_experiment_says_and_auto_is_one_for_each_gpu():
    assert wanted(choice()) == 1  # no transformer
    assert wanted(asked(1)) == 1
    assert wanted(asked(processors())) == processors()
    assert wanted(asked("auto")) == 1


def test_wanted__more_than_there_are_processors_is_a_mistake():
    with pytest.raises(CannotTell) as caught:
        wanted(asked(2, 1000))
    said = f"the experiment says processes: 1000, but there are {processors()} processors here: write fewer, or auto"
    assert str(caught.value) == said


def test_wanted__what_torchrun_started_starts_no_more(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert wanted(asked(3)) == 1


@pytest.mark.parametrize(
    ("given", "unset"),
    [({"WORLD_SIZE": "2"}, "RANK, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT"), ({"WORLD_SIZE": ""}, None)],
)
def test_joined__a_world_size_that_is_not_torchrun_s_is_said(monkeypatch, given, unset):
    for name in TOLD:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(CannotTell) as caught, joined("cpu"):
        pass
    cure = "start several processes with torchrun, or unset WORLD_SIZE for one"
    assert str(caught.value) == f"WORLD_SIZE is set in the environment, but {unset or ', '.join(TOLD)} not: {cure}"


def test_joined__without_torchrun_there_is_nobody_to_talk_to():
    with joined("cpu") as processes:
        assert processes == ALONE
        assert processes.share([1, 2, 3]) == [1, 2, 3]
        with processes.first_alone(), processes.copy_of(Path("missing")) as path:
            assert path == Path("missing")


def test_share__all_items_once():
    shares = [Processes(rank, 3).share("abcdefgh") for rank in range(3)]
    assert shares == ["adg", "beh", "cf"]
