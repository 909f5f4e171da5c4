"""Release notes: the verdict, its one table, what changed, what it was made from, and how to fetch and check it."""

from __future__ import annotations

from textgate.evidence import Release
from textgate.release.assets import SUMS, Judged, archive_name
from textgate.report.checks import checks_table, reference
from textgate.report.document import Block, Bullets, Code, Heading, Line, Paragraph, to_markdown
from textgate.report.markdown import visible
from textgate.report.report import changed

MAX_CHARACTERS = 30_000  # whoever lists a hundred releases gets a hundred notes


def notes(release: Release, judged: Judged) -> str:
    """Return the notes as Markdown of at most 30,000 characters; labels and other foreign words are escaped."""
    gate, against = judged.gate, reference(judged.comparison)
    blocks: list[Block] = [Heading(visible(gate.sentence, 400)), checks_table(gate, judged.metrics, judged.comparison)]
    if against is not None:
        blocks += changed(against)
    blocks += [Heading("What it was made from", 4), Bullets(_origin(release, judged))]
    blocks += [Heading("Fetch and check it", 4), *_how_to(release)]
    return to_markdown(blocks, MAX_CHARACTERS)


def _origin(release: Release, judged: Judged) -> tuple[Line, ...]:
    return (
        ("bundle", Code(f"sha256:{release.bundle_digest}", 80)),
        ("commit", Code(release.judged_commit), "· trained at", Code(release.commit, 80)),
        ("experiment", Code(release.experiment, 100)),
        ("data", Code(f"sha256:{release.data_fingerprint}", 80)),
        ("source", Code(judged.data.source, 200), "· licence", Code(judged.data.licence, 60)),
    )


def _how_to(release: Release) -> tuple[Block, ...]:
    version, archive = release.version, archive_name(release.bundle_digest)
    return (
        Paragraph("In a clone of this repository, with every link from the evidence to the bundle checked:"),
        Bullets((Code(f".venv/bin/python scripts/registry.py fetch --version {version} --to {version}", 200),)),
        Paragraph("Without textgate; a file that was added is not noticed this way:"),
        Bullets(
            (
                Code(f"gh release download {version} --dir {version} && cd {version}", 200),
                Code(f"sha256sum -c {SUMS}", 200),
                Code(f"mkdir bundle && tar -xf {archive} -C bundle", 200),
            )
        ),
    )
