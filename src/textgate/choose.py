"""What this run is about: the experiment with every setting resolved, and the production model to compare with."""

from __future__ import annotations

from pathlib import Path

from textgate.bundle import digest, verify
from textgate.config import CONFIGS, NAME, DataConfig, Ensemble, Experiment, FileSource, TrainConfig, load
from textgate.errors import CannotTell
from textgate.evidence import Champion
from textgate.files import sha256_file
from textgate.records import Evidence, Sha256
from textgate.tables import row_files


class Choice(Evidence):
    """build/choice.json: everything that `train` is told; a comment changed in a YAML file does not change it."""

    train: TrainConfig
    experiments: dict[str, Experiment]  # the chosen one, its parts and the baseline

    @property
    def candidate(self) -> Experiment:
        """Return the chosen experiment."""
        return self.experiments[self.train.experiment]


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


class SourceFiles(Evidence):
    """build/source.json: the user's own row files as they are now, so that DVC notices when they change."""

    files: dict[str, Sha256]


def source_files(config: DataConfig) -> SourceFiles:
    """Hash the files that sources of kind `file` read; wheels and hub files are pinned in the configuration."""
    sources = [source for source in (config.source, config.external) if isinstance(source, FileSource)]
    paths = [path for source in sources for path in row_files(Path(source.path).expanduser())]
    return SourceFiles(files={path.as_posix(): sha256_file(path) for path in paths if path.is_file()})


def find_champion(bundle: Path | None) -> Champion:
    """Vouch for the given bundle as the production model, or say that there is none yet.

    Raises CannotTell or Refused if a bundle is given and is none, or was altered.
    """
    if bundle is None:
        return Champion(state="none yet")
    manifest = verify(bundle)
    return Champion(state="given", name=manifest.experiment, path=str(bundle.resolve()), digest=digest(bundle))
