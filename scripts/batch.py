"""Score a file of texts: JSONL, CSV or Parquet, also gzipped, also from standard input and to standard output."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.errors import run


def main() -> int:
    from textgate.batch.batch import batch
    from textgate.batch.engines import ENGINES, engine_named
    from textgate.batch.formats import FORMATS
    from textgate.batch.settings import BatchConfig
    from textgate.config import CONFIGS, load
    from textgate.wording import whole

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", metavar="IN", help="a file, or - for standard input")
    parser.add_argument("output", metavar="OUT", help="a file that does not exist, or - for standard output")
    parser.add_argument("--model", type=Path, default=Path("build/model"), help="a bundle, or a fetched release")
    parser.add_argument("--text-column", default="text", help="the column, or key, of the text (default: text)")
    parser.add_argument("--format", choices=FORMATS, help="what - is; a file's ending tells its own")
    parser.add_argument("--engine", choices=ENGINES, default="local", help="this machine (default), or Ray")
    parser.add_argument("--address", help="of a Ray cluster: auto, HOST:6379 or ray://HOST:10001 (or RAY_ADDRESS)")
    options = parser.parse_args()
    engine = engine_named(options.engine, options.address)
    config = load(CONFIGS / "batch.yaml", BatchConfig)
    done = batch(options.input, options.output, options.model, options.text_column, options.format, config, engine)
    where = "above" if options.output == "-" else f"{options.output}.rejects.jsonl"
    rejects = f", {whole(done.rejected)} rejected: {where}" if done.rejected else ""
    print(f"{whole(done.scored)} rows scored{rejects}", file=sys.stderr)
    return 1 if done.rejected else 0


if __name__ == "__main__":
    sys.exit(run(main))
