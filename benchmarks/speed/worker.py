"""One side of the comparison in a process of its own: runs a cell when it is told to.

    python -m benchmarks.speed.worker ours
    python -m benchmarks.speed.worker ours cuda

A line of JSON comes in, `{"family": …, "shape": …, "cell": …}`, and one goes out, with
the `seconds` that the cell took and what else it has to say. `cell` is `collate`,
`step`, `generate MODE`, `modes` (which there are) or `peak`: two training steps, and
the most memory that this process ever had, for which it should be a new one. On
another device than the processor there are `step` and `peak` (`gpu.py`).
"""

import importlib
import json
import resource
import sys
import time
import warnings
from functools import cache
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.shapes import SHAPES
from benchmarks.speed.side import Side, moved_bytes, step

LEAST = 0.05
"""Seconds that batches are collated for: a single one is too short for the clock."""


@cache
def built(side: str, family: str, shape: str) -> Side:
    module = importlib.import_module(f"benchmarks.speed.{side}")
    result: Side = module.build(family, SHAPES[shape])
    return result


@cache
def trained(side: str, family: str, shape: str) -> tuple[Side, Any, Any]:
    """A side with a batch and an optimiser that has its state."""
    parts = built(side, family, shape)
    batch = parts.collate(parts.examples(SHAPES[shape].batch))
    optimizer = torch.optim.AdamW(parts.groups, lr=1e-4, fused=True)
    return parts, batch, optimizer


@cache
def operations(side: str, family: str, shape: str) -> int:
    """Floating-point operations of the products in a training step."""
    parts, batch, optimizer = trained(side, family, shape)
    with FlopCounterMode(display=False) as counter:
        step(parts, batch, optimizer)
    return counter.get_total_flops()


@cache
def least_bytes(side: str, family: str, shape: str) -> int:
    """Bytes that a training step must move."""
    parts, batch, _ = trained(side, family, shape)
    return moved_bytes(parts, batch)


class Clock:
    """Seconds of a block: as they pass, and of the processor.

    Attributes:
        per: how many times the block did the same.
    """

    def __init__(self) -> None:
        self.per = 1
        self.times: dict[str, Any] = {}

    def __enter__(self) -> "Clock":
        self.begin = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        wall, processor = self.begin
        self.times = {
            "seconds": (time.perf_counter() - wall) / self.per,
            "processor_seconds": (time.process_time() - processor) / self.per,
        }


def run(side: str, family: str, shape: str, cell: str) -> dict[str, Any]:
    """Run a cell once."""
    what, _, mode = cell.partition(" ")
    if what == "modes":
        return {"modes": list(built(side, family, shape).generators)}
    if what == "collate":
        parts = built(side, family, shape)
        examples = parts.examples(SHAPES[shape].batch)
        with Clock() as clock:
            parts.collate(examples)
            while time.perf_counter() - clock.begin[0] < LEAST:
                parts.collate(examples)
                clock.per += 1
        return clock.times
    if what == "generate":
        parts = built(side, family, shape)
        parts.model.eval()
        with Clock() as clock:
            made = parts.generators[mode]()
        parts.model.train()
        return {**clock.times, "tokens": made.tokens, "passes": made.passes}
    parts, batch, optimizer = trained(side, family, shape)
    if what == "peak":
        for _ in range(2):
            step(parts, batch, optimizer)
        kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"gigabytes": kilobytes * 1024 / 1e9}
    with Clock() as clock:
        step(parts, batch, optimizer)
    counts = {"operations": operations, "bytes": least_bytes}
    return {**clock.times, **{k: f(side, family, shape) for k, f in counts.items()}}


def run_on_device(family: str, shape: str, cell: str, name: str) -> dict[str, Any]:
    """Run a cell of ours on another device than the processor."""
    from benchmarks.speed.gpu import DeviceStep

    device = torch.device(name)
    found = DeviceStep(built("ours", family, shape), SHAPES[shape], device).measure()
    if cell == "peak":
        return {"gigabytes": torch.cuda.max_memory_allocated(device) / 1e9}
    return found


def main() -> None:
    side, device = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "cpu"
    warnings.simplefilter("ignore")
    answers, sys.stdout = sys.stdout, sys.stderr  # the peer prints
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if device == "cpu":
                answer = run(side, **request)
            else:
                answer = run_on_device(**request, name=device)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
