"""Measure how much faster decoding in blocks is with an approximate cache.

    python benchmarks/caches.py
    python benchmarks/caches.py --new 512 --block 32 --steps 256 --refresh 8

Generates with the family `llada` at the base shape of `benchmarks/speed/shapes.py`,
without a cache, with a prefix cache and with a dual cache, in turn. All have the same
weights, which are not trained: in a confidence order with a number of steps, the passes
and their positions do not depend on them. Prints, for each, the median time of the
processor, the forward operations (of products and attention) and the positions that
the network computes, with their ratios.

What a cache costs in quality depends on the network:

    xlmgen train llada/star_tiny
    xlmgen eval RUN predictor.decoding_block=3 'predictor.cache={kind: dual}'
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.learn.hardware import hardware, sentence  # noqa: E402
from benchmarks.learn.report import markdown  # noqa: E402
from benchmarks.speed.shapes import SHAPES  # noqa: E402
from xlmgen.runtime.special_tokens import SpecialTokens  # noqa: E402
from xlmgen.testing.variant import render_variant  # noqa: E402

Generate = Callable[[], Any]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("rows", 2), ("prompt", 8), ("new", 512), ("block", 32)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--steps", type=int, default=256)
    parser.add_argument("--refresh", type=int, help="also measure this refresh")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--shape", choices=list(SHAPES), default="base")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    with TemporaryDirectory() as folder:
        lines = measure(asked, Path(folder))
    head = ["cache", "processor time", "ratio", "operations", "ratio", "positions"]
    print(markdown([*head, "passes"], lines))
    print(f"\n{asked.rows} rows; {sentence(hardware(asked.threads))}")


def measure(asked: argparse.Namespace, folder: Path) -> list[list[str]]:
    """One line of the table for every cache."""
    caches: dict[str, dict[str, Any] | None] = {
        "none": None,
        "prefix": {"kind": "prefix"},
        "dual": {"kind": "dual"},
    }
    if asked.refresh:
        for kind in ("prefix", "dual"):
            name = f"{kind}, refresh {asked.refresh}"
            caches[name] = {"kind": kind, "refresh": asked.refresh}
    generators = {}
    for number, (name, cache) in enumerate(caches.items()):
        generators[name] = generator(asked, cache, folder / str(number) / "llada")
    counts = {name: counted(*pair) for name, pair in generators.items()}
    seconds: dict[str, list[float]] = {name: [] for name in caches}
    for _ in range(asked.runs):
        for name, (_, generate) in generators.items():
            begin = time.process_time()
            generate()
            seconds[name].append(time.process_time() - begin)
    spent = {name: median(values) for name, values in seconds.items()}
    operations = {name: count[0] for name, count in counts.items()}
    return [
        [
            name,
            f"{spent[name]:.1f} s",
            f"{spent['none'] / spent[name]:.1f}×",
            f"{operations[name] / 1e9:.0f} GFLOP",
            f"{operations['none'] / operations[name]:.1f}×",
            f"{positions:,}",
            str(passes),
        ]
        for name, (_, positions, passes) in counts.items()
    ]


def generator(
    asked: argparse.Namespace, cache: dict[str, Any] | None, folder: Path
) -> tuple[nn.Module, Generate]:
    """A network, and a function that generates with it."""
    options = {"kind": "unmasking", "order": "top_prob", "temperature": 0}
    options |= {"decoding_block": asked.block, "steps": asked.steps, "cache": cache}
    family = render_variant(ROOT / "families/llada/family.yaml", options, folder)
    shape = SHAPES[asked.shape]
    tokens = SpecialTokens(shape.vocab)
    torch.manual_seed(0)
    model = family.model(
        shape.vocab,
        d_model=shape.d_model,
        layers=shape.layers,
        num_heads=shape.num_heads,
        ffn=4 * shape.d_model,
    ).eval()
    ids = torch.full((asked.rows, asked.prompt + asked.new), tokens.mask)
    ids[:, : asked.prompt] = shape.vocab - 1
    batch = {
        "input_ids": ids,
        "attention_mask": None,
        "fillable": ids == tokens.mask,
    }
    predictor = family.predictor(tokens)
    return model, lambda: predictor.generate(model, batch)


def counted(model: nn.Module, generate: Generate) -> tuple[int, int, int]:
    """Operations, positions that the network computes, and passes of a generation."""
    with positions_of(model) as positions, FlopCounterMode(display=False) as counter:
        out = generate()
    return counter.get_total_flops(), sum(positions), out.forward_passes


@contextmanager
def positions_of(model: nn.Module) -> Iterator[list[int]]:
    """Record the number of input tokens of every forward pass."""
    found: list[int] = []

    def record(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found.append(inputs[0].numel())

    handle = model.register_forward_pre_hook(record)
    try:
        yield found
    finally:
        handle.remove()


if __name__ == "__main__":
    main()
