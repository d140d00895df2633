"""A server process that draws gradients: `limner serve` in all but the engine. For tests that need it quick or slow."""

import argparse
import sys
from pathlib import Path

from limner.server.app import create_app
from limner.server.run import run
from limner.settings import Settings
from limner.store import FileStore
from limner.studio import Studio
from tests.fakes import GradientEngine

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=Path, required=True)
    # Seconds that the engine takes a step.
    parser.add_argument("--seconds", type=float, default=0.0)
    chosen = parser.parse_args()
    # The rest comes from LIMNER_* variables.
    settings = Settings.load(port=0, pictures=chosen.pictures)
    studio = Studio.configured([GradientEngine(chosen.seconds, remembered=0)], settings)
    app = create_app(studio, FileStore(settings.pictures), settings)
    run(app, settings, started=lambda url: print(f"ready at {url}", file=sys.stderr, flush=True))
