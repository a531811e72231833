"""Serve the page, which classifies songs by genre and shows a spectrogram and a prediction for every window."""

import argparse
import os
import sys

# Before torch is imported: its threads spin for some microseconds while they wait for each other, then sleep. By
# default they spin on, and beside another busy process a song takes many times as long.
os.environ.setdefault("GOMP_SPINCOUNT", "600")

import genre
from genre.cli import in_home
from genre.web.page import serve

try:  # ZeroGPU Spaces start only apps with a decorated function; inference stays on the CPU
    import spaces

    spaces.GPU(lambda: None)
except ImportError:
    pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--checkpoint",
        type=in_home,
        default=os.environ.get("GENRE_CHECKPOINT"),  # set on Spaces
        help="Use this model: a name in checkpoints/, a folder, or hf-hub:user/repo@revision (default: the one that "
        "GENRE_CHECKPOINT names, or the shipped one).",
    )
    arguments = parser.parse_args()
    try:
        serve(arguments.checkpoint)
    except genre.GenreError as error:
        sys.exit(f"app.py: {error}")


if __name__ == "__main__":
    main()
