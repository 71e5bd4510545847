"""Trains GPT-2 of the transformers library on the batches of an experiment.

python -m benchmarks.learn.gpt2 RUN EXPERIMENT.yaml [KEY=VALUE …]
"""

import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str]) -> int:
    from benchmarks.learning.gpt2 import train_gpt2

    folder, experiment, *overrides = arguments
    train_gpt2(experiment, overrides, Path(folder))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
