"""What this run is about: the experiment with every setting resolved, and the production model to compare with."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from textgate.bundle import MANIFEST, verify_digest
from textgate.config import CONFIGS, NAME, Ensemble, Experiment, TrainConfig, load
from textgate.errors import CannotTell
from textgate.evidence import Champion, Release
from textgate.files import read_text
from textgate.records import BUILD, Evidence, read

RELEASE, FETCHED = "release.json", "bundle"  # beside each other in the folder that a registry fetched a release to


class Choice(Evidence):
    """build/choice.json: everything that `train` is told; a comment changed in a YAML file does not change it."""

    train: TrainConfig
    experiments: dict[str, Experiment]  # the chosen one, its parts and the baseline


def choose(experiment: str | None, configs: Path = CONFIGS) -> Choice:
    """Resolve configs/train.yaml, with another experiment if one is named. Raises CannotTell for an unknown name."""
    train = load(configs / "train.yaml", TrainConfig)
    if experiment is not None:
        _experiment(experiment, configs)
        train = train.model_copy(update={"experiment": experiment})
    names = [train.experiment, train.baseline]
    first = _experiment(train.experiment, configs)
    if isinstance(first.model, Ensemble):
        names += first.model.parts
    experiments = {name: _experiment(name, configs) for name in dict.fromkeys(names)}
    _check(train, experiments)
    return Choice(train=train, experiments=experiments)


def chosen_before(build: Path) -> tuple[str | None, str | None]:
    """Return the experiment of the run before and its champion, a folder or "none"; None where there was no run."""
    choice, champion = build / "choice.json", build / "champion.json"
    experiment = read(choice, Choice, "choose").train.experiment if choice.is_file() else None
    if not champion.is_file():
        return experiment, None
    path = read(champion, Champion, "choose").path
    if path is not None and Path(path).name == FETCHED and (Path(path).parent / RELEASE).is_file():
        path = str(Path(path).parent)
    return experiment, path or "none"


def _experiment(name: str, configs: Path) -> Experiment:
    folder = configs / "experiments"
    path = folder / f"{name}.yaml"
    known = sorted(file.stem for file in folder.glob("*.yaml") if NAME.fullmatch(file.stem))
    if name not in known:
        raise CannotTell(f"{path} does not exist (known: {', '.join(known) or 'none'}): name one of them, or write it")
    return load(path, Experiment)


def _check(train: TrainConfig, experiments: dict[str, Experiment]) -> None:
    if experiments[train.baseline].model.kind != "tfidf":
        raise CannotTell(f"configs/train.yaml: baseline {train.baseline} is not of kind tfidf: name one that is")
    model = experiments[train.experiment].model
    if isinstance(model, Ensemble):
        kinds = [experiments[part].model.kind for part in model.parts]
        if "ensemble" in kinds or kinds[0] == kinds[1]:
            raise CannotTell(f"experiment {train.experiment}: parts must be of two plain kinds, not {', '.join(kinds)}")


def find_champion(named: str) -> Champion:
    """Verify the production model in the folder `named`; "none" states that there is none yet.

    The folder is a bundle, or what a registry fetched: a bundle with its release.json beside it. Raises CannotTell for
    an empty name, which is no statement, and for a folder without a bundle; Refused for a bundle that was altered or is
    not the one that was released. What is in it is judged before it is opened, by `evaluate`.
    """
    if named == "none":
        return Champion(state="none yet")
    if not named:
        raise CannotTell("the champion's name is empty: name the folder of the production bundle, or say none")
    bundle, release = bundle_in(Path(named))
    if any(bundle.resolve().is_relative_to((BUILD / name).resolve()) for name in ("model", "baseline")):
        raise CannotTell(f"{bundle} is what this run writes: copy it elsewhere and name the copy as champion")
    manifest, found = verify_digest(bundle, release.bundle_digest if release else None)
    name = release.version if release else manifest.experiment
    return Champion(state="given", name=name, path=str(bundle.resolve()), digest=found)


def bundle_in(folder: Path) -> tuple[Path, Release | None]:
    """Return the bundle in a folder that a registry fetched, and its release; or the folder itself, and None."""
    if (folder / MANIFEST).exists() or not (folder / RELEASE).exists():
        return folder, None
    cure = "fetch the release again"
    try:
        return folder / FETCHED, Release.model_validate_json(read_text(folder / RELEASE, cure))
    except ValidationError as error:
        raise CannotTell(f"{folder / RELEASE} is not what a registry leaves there: {cure}") from error
