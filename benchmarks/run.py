"""How fast xlmgen is, cell by cell, and beside xlm-core in the same run.

    python benchmarks/run.py --shapes small
    python benchmarks/run.py --shapes small base --against xlm-core --limit
    python benchmarks/run.py --shapes gpu --device cuda

A cell is one thing that a researcher waits for: the start of a command, collating a
batch, a training step (forward, loss, backward, optimiser), a generation in one mode of
the predictor, the peak memory of training. Each side runs in a process of its own. The
two take turns in every cell, one run each, and what is shown are medians and the ratio
of the medians: whatever else the machine does then falls on both. `--against` installs
the peer into `benchmarks/.peer` at first.

Starts are processor time whatever the clock, beside a bare import in turn with them:
of the libraries that reading and rendering need, or of Lightning.

`--limit` measures this machine's rates of matrix products and of copying memory, and
shows which share of each the fastest training step reaches: counting the products that
the step computes, and the bytes that it could not do without (`speed/side.py`). A step
that is near neither spends its time between them: on elementwise work and small pieces.

`--device cuda` measures our compiled step under autocast: its share of the card's peak,
and whether the compiler broke the graph or the step waited for the device.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from benchmarks.speed.shapes import SHAPES  # noqa: E402
from benchmarks.speed.startup import STARTS, commands, spent  # noqa: E402

FAMILIES = sorted(
    path.parent.name for path in HERE.parent.glob("families/*/family.yaml")
)
PEER = "xlm-core"
PEER_FAMILIES = ("arlm", "mlm", "ilm", "mdlm", "flexmdm")
RUNS = {"start": 3, "collate": 9, "step": 7, "generate": 3, "peak": 1}
ON_DEVICE = ("step", "peak")
"""Cells of another device than the processor."""


class Worker:
    """One side in a process of its own."""

    def __init__(
        self, side: str, python: str | Path, threads: int, device: str = "cpu"
    ) -> None:
        self.command = [str(python), "-m", "benchmarks.speed.worker", side, device]
        environment = dict(os.environ, PYTHONPATH=str(HERE.parent))
        environment |= {"OMP_NUM_THREADS": str(threads), "TQDM_DISABLE": "1"}
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
        )

    def __call__(self, family: str, shape: str, cell: str) -> dict[str, Any]:
        """Run a cell once.

        Raises:
            RuntimeError: the side could not.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        request = {"family": family, "shape": shape, "cell": cell}
        print(json.dumps(request), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "it ended"}
        if "error" in answer:
            raise RuntimeError(f"{self.command[-2]} {family} {cell}: {answer['error']}")
        return answer

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@dataclass
class Cell:
    """What was measured of one cell.

    Args:
        ours, peers: the values of every run, in `unit`.
        notes: what else the last run had to say, by side.
    """

    family: str
    shape: str
    name: str
    unit: str
    ours: list[float]
    peers: list[float]
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """How many times as much the peer needs."""
        return median(self.peers) / median(self.ours) if self.peers else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shapes", nargs="+", default=["small"], choices=SHAPES)
    parser.add_argument("--families", nargs="+", default=FAMILIES, choices=FAMILIES)
    parser.add_argument(
        "--cells", nargs="+", default=list(RUNS), choices=RUNS, help="which of them"
    )
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--against", choices=[PEER], help="measure it in turn with us")
    parser.add_argument("--peer", type=Path, default=HERE / ".peer")
    parser.add_argument("--runs", type=int, help="runs of every cell and side")
    parser.add_argument(
        "--cold", action="store_true", help="no run before those that count"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--clock", choices=["wall", "processor"], default="wall")
    parser.add_argument("--limit", action="store_true", help="shares of the machine")
    parser.add_argument("--json", type=Path, help="write every number there")
    arguments = parser.parse_args()
    if arguments.device == "cuda":
        if arguments.against or arguments.limit:
            parser.error("--device cuda goes with neither --against nor --limit")
        import torch

        if not torch.cuda.is_available():
            parser.error("--device cuda: PyTorch finds no GPU on this machine")
        arguments.cells = [cell for cell in arguments.cells if cell in ON_DEVICE]

    pythons = {"ours": Path(sys.executable)}
    if arguments.against:
        from benchmarks.speed.venv import python

        pythons["peer"] = python(arguments.peer)
    cells = starts(arguments, pythons) if "start" in arguments.cells else []
    cells += [
        cell
        for shape in arguments.shapes
        for family in arguments.families
        for cell in measure(arguments, pythons, family, shape)
    ]
    report = {"machine": machine(arguments.threads), "cells": [vars(c) for c in cells]}
    if arguments.limit:
        report["limit"] = limits(arguments, cells)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", "utf-8")


def starts(arguments: argparse.Namespace, pythons: dict[str, Path]) -> list[Cell]:
    """Commands from the shell to their answer, printed as they are done."""
    cells = []
    for start in STARTS:
        values: dict[str, list[float]] = {"ours": [], "peer": [], "bare": []}
        run = commands(start, pythons.get("peer"))
        for number in range((arguments.runs or RUNS["start"]) + 1):
            for side, command in run.items():
                seconds = spent(command)["processor_seconds"]
                if number:  # the first finds files that no cache holds yet
                    values[side].append(seconds)
        cell = Cell("", "start", start.name, "s", values["ours"], values["peer"])
        cell.notes["bare"] = {"imports": start.bare, "seconds": values["bare"]}
        cells.append(cell)
        print(line(cell), flush=True)
    return cells


def measure(
    arguments: argparse.Namespace, pythons: dict[str, Path], family: str, shape: str
) -> list[Cell]:
    """All cells of one family at one shape, printed as they are done."""
    sides = [s for s in pythons if s == "ours" or family in PEER_FAMILIES]

    def worker(side: str) -> Worker:
        return Worker(side, pythons[side], arguments.threads, arguments.device)

    workers = {side: worker(side) for side in sides}
    clock = {"wall": "seconds", "processor": "processor_seconds"}[arguments.clock]
    cells = []
    try:
        for kind in arguments.cells:
            names = [kind]
            if kind == "start":
                continue
            if kind == "generate":
                modes = workers["ours"](family, shape, "modes")["modes"]
                names = [f"generate {mode}" for mode in modes]
            for name in names:
                cell = Cell(family, shape, name.strip(), "s", [], [])
                unit = clock
                if kind == "peak":
                    cell.unit, unit = "GB", "gigabytes"
                runs = arguments.runs or RUNS[kind]
                warm_up = 0 if kind == "peak" or arguments.cold else 1
                if arguments.device != "cpu":  # which warms up and repeats by itself
                    runs, warm_up, unit = 1, 0, unit.removeprefix("processor_")
                for number in range(runs + warm_up):
                    for side in sides:
                        if kind == "peak":  # of a process that did nothing else
                            workers[side].close()
                            workers[side] = worker(side)
                        answer = workers[side](family, shape, name)
                        if number >= warm_up:
                            values = cell.ours if side == "ours" else cell.peers
                            values.append(answer.pop(unit))
                            cell.notes[side] = answer
                cells.append(cell)
                print(line(cell), flush=True)
    finally:
        for each in workers.values():
            each.close()
    return cells


def line(cell: Cell) -> str:
    """One row of the table."""
    own = f"{median(cell.ours):.3g} {cell.unit}"
    parts = [cell.shape, cell.family, cell.name, own]
    if cell.ratio is not None:
        parts += [f"{median(cell.peers):.3g} {cell.unit}", f"{cell.ratio:.1f}×"]
    if bare := cell.notes.get("bare"):
        share = median(cell.ours) / median(bare["seconds"])
        parts.append(f"{share:.1f} × `{bare['imports']}`")
    made = cell.notes.get("ours", {})
    if "mfu" in made:
        peak = "unknown" if made["mfu"] is None else f"{100 * made['mfu']:.0f} %"
        counts = [f"{made[key]} {key}" for key in ("graphs", "graph_breaks", "syncs")]
        parts.append(f"of the peak: {peak}; {', '.join(counts)}")
    if "tokens" in made:
        counts = [f"{made['tokens']} tokens, {made['passes']} passes"]
        if theirs := cell.notes.get("peer"):
            counts.append(f"{theirs['tokens']} tokens, {theirs['passes']} passes")
        parts.append(" / ".join(counts))
    return f"| {' | '.join(parts)} |"


def limits(arguments: argparse.Namespace, cells: list[Cell]) -> dict[str, Any]:
    """The machine's rates, and the share of them that every training step reaches."""
    import torch

    from benchmarks.speed.limit import copy_rate, matrix_rate

    torch.set_num_threads(arguments.threads)
    found: dict[str, Any] = {"copy": copy_rate()}
    print(f"\ncopying memory: {found['copy'] / 1e9:.1f} GB/s")
    for shape in arguments.shapes:
        rate = matrix_rate(SHAPES[shape])
        found[shape] = {"matrix": rate}
        print(f"{shape}: matrix products: {rate / 1e9:.0f} GFLOP/s")
        for cell in cells:
            if cell.shape == shape and cell.name == "step":
                operations = cell.notes["ours"]["operations"]
                moved = cell.notes["ours"]["bytes"]
                seconds = min(cell.ours)  # of the fastest run, as the rates are
                products = operations / seconds / rate
                memory = moved / seconds / found["copy"]
                found[shape][cell.family] = {"products": products, "memory": memory}
                print(
                    f"  {cell.family}: {operations / 1e9:.0f} GFLOP a step, "
                    f"{100 * products:.0f} % of it; {moved / 1e9:.2f} GB to move, "
                    f"{100 * memory:.0f} % of copying"
                )
    return found


def machine(threads: int) -> dict[str, Any]:
    import torch

    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    main()
