"""Serve a released model over HTTP, as configs/serve.yaml says."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.config import CONFIGS, load
from textgate.errors import run
from textgate.serve.settings import ServeConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=CONFIGS / "serve.yaml", help="configs/serve.yaml if not given")
    parser.add_argument("--model", help="a bundle, or a folder that registry.py fetched; instead of models.champion")
    parser.add_argument("--port", type=_port, metavar="N", help="instead of listen.port; 0: a free one")
    options = parser.parse_args()
    config = load(options.config, ServeConfig)
    models, listen = config.models, config.listen
    if options.model is not None:
        models = models.model_copy(update={"champion": options.model})
    if options.port is not None:
        listen = listen.model_copy(update={"port": options.port})
    from textgate.serve.server import serve

    serve(config.model_copy(update={"models": models, "listen": listen}))


def _port(text: str) -> int:
    if text.isdecimal() and int(text[:9]) < 65536:
        return int(text[:9])
    raise argparse.ArgumentTypeError(f"{text} is no port: 0 to 65535")


if __name__ == "__main__":
    sys.exit(run(main))
