"""Show the verdict and everything behind it: whatever evidence lies in build/ into report.md and report.html."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.errors import run
from textgate.files import write_text
from textgate.records import BUILD
from textgate.report.document import to_markdown
from textgate.report.found import find
from textgate.report.page import to_html
from textgate.report.report import compose


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--print", action="store_true", help="also print the report here")
    options = parser.parse_args()
    blocks = compose(find(BUILD))
    write_text(BUILD / "report.md", to_markdown(blocks))
    write_text(BUILD / "report.html", to_html(blocks, "textgate report"))
    if options.print:
        from rich.console import Console
        from rich.markdown import Markdown

        if (console := Console()).is_terminal:
            console.print(Markdown(to_markdown(blocks, folded=False), hyperlinks=False))
        else:
            sys.stdout.buffer.write(to_markdown(blocks).encode())
    print(f"report: {BUILD / 'report.md'} and {BUILD / 'report.html'}")


if __name__ == "__main__":
    sys.exit(run(main))
