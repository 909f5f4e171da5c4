"""Folders to serve, as a registry leaves them, and the shipped configuration pointed at them."""

from contextlib import asynccontextmanager

from prometheus_client import REGISTRY
from tests.project import EXAMPLE
from tests.small import LABELS, SHA, fit_tfidf, seal_small

from textgate import records
from textgate.config import load
from textgate.evidence import Release
from textgate.serve.models import Models
from textgate.serve.settings import ServeConfig


def make_version(folder, version, labels=LABELS, model=None):
    """Leave a small release in `folder`/vX.Y.Z, a bundle of its own, and return that folder."""
    made = folder / version
    (made / "bundle").mkdir(parents=True)
    (model or fit_tfidf()).save(made / "bundle")
    (made / "bundle" / "note.txt").write_text(version)
    digest = seal_small(made / "bundle", labels=labels)
    about = {"data_fingerprint": SHA, "experiment": "small", "commit": "none", "judged_commit": "c" * 40}
    records.write(made / "release.json", Release(version=version, bundle_digest=digest, **about))
    return made


def flip(link, target):
    """Let a link point elsewhere, in one step."""
    new = link.with_name(f".{link.name}.new")
    new.symlink_to(target)
    new.replace(link)


def config(champion, challenger=None, split=("none", 0.0), check_seconds=1000.0, lanes=1, **limits):
    """Return the example of configs/serve.yaml for these folders.

    Nothing is looked at again unless it is asked for, and nobody is turned away because the machine is slow.
    """
    shipped = load(EXAMPLE / "serve.yaml", ServeConfig)
    models = {"champion": str(champion), "challenger": challenger and str(challenger), "check_seconds": check_seconds}
    tfidf = shipped.batching.tfidf.model_copy(update={"lanes": lanes})
    return shipped.model_copy(
        update={
            "batching": shipped.batching.model_copy(update={"tfidf": tfidf}),
            "models": shipped.models.model_copy(update=models),
            "split": shipped.split.model_copy(update={"kind": split[0], "share": split[1]}),
            "limits": shipped.limits.model_copy(update={"wait_ms": 3_600_000} | limits),
        }
    )


@asynccontextmanager
async def started(settings):
    """Start models and stop them in the end."""
    models = Models(settings)
    await models.start()
    try:
        yield models
    finally:
        await models.stop()


def versions(models):
    return {variant: served.version for variant, served in models.loaded().items()}


def counted(name, **labels):
    """Return what a metric says now."""
    return REGISTRY.get_sample_value(f"textgate_{name}", labels) or 0.0
