"""Train families on the same star graphs with the same backbone, and draw their curves.

Every run sees the same rows in the same order: task, size, batch, steps and seed are
equal, and only the family differs. A run that was stopped continues.

    python benchmarks/star.py train star_easy --families arlm mdlm --seeds 0 1 \\
        --set training.max_steps=6000
    python benchmarks/star.py report star_easy star_medium star_hard

`train` leaves run folders, `<task>-<family>-<seed>`. `report` reads them, finished or
not: it writes `benchmarks/star/<task>.csv` (what validation found at every step that it
ran at) and `benchmarks/star/<task>.svg`, and the table between the marks of the task in
`benchmarks/star.md`, where it has them. With `--evaluate` it scores the test split of
every finished run that has no score. Needs the extra `bench`.
"""

import argparse
import csv
import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
FAMILIES = sorted(
    path.parent.name for path in HERE.parent.glob("families/*/family.yaml")
)
PALETTE = ["#b5495b", "#00896c", "#f17c67", "#66327c"]
PALETTE += ["#0089a7", "#c18a26", "#1b813e", "#3a3226"]
COLORS = dict(zip(FAMILIES, PALETTE, strict=False))
SCORES = ("exact_match", "token_accuracy", "valid_path")


@dataclass(frozen=True)
class Run:
    """One run folder, finished or not."""

    family: str
    seed: int
    path: Path

    @cached_property
    def settings(self) -> dict[str, Any]:
        text = (self.path / "experiment.yaml").read_text("utf-8")
        settings: dict[str, Any] = yaml.safe_load(text)
        return settings

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        with (self.path / "metrics.csv").open() as file:
            return list(csv.DictReader(file))

    @property
    def steps(self) -> int:
        """Optimiser steps so far."""
        return int(self.rows[-1]["step"])

    @property
    def finished(self) -> bool:
        return self.steps == self.settings["training"]["max_steps"]

    @property
    def curve(self) -> list[dict[str, Any]]:
        """What validation found at every step that it ran at."""
        return [
            {
                "family": self.family,
                "seed": self.seed,
                "step": int(row["step"]),
                "loss": float(row["val/loss"]),
                "exact_match": float(row["val/exact_match"]),
            }
            for row in self.rows
            if row.get("val/exact_match")
        ]

    @property
    def scores(self) -> dict[str, float] | None:
        """Scores of the whole test split, once `xlmgen eval` has run."""
        path = self.path / "results" / "test.json"
        if not self.finished or not path.exists():
            return None
        scores: dict[str, float] = json.loads(path.read_text("utf-8"))["scores"]
        return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/star"))
    commands = parser.add_subparsers(required=True)

    train = commands.add_parser("train", help="train, or continue, some families")
    train.add_argument("task")
    train.add_argument("--families", nargs="+", default=FAMILIES, choices=FAMILIES)
    train.add_argument("--seeds", nargs="+", type=int, default=[0])
    train.add_argument("--size", default="tiny")
    train.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    train.add_argument("--parallel", type=int, default=1, help="runs at a time")
    train.set_defaults(command=train_all)

    report = commands.add_parser("report", help="write tables and curves of all runs")
    report.add_argument("tasks", nargs="+")
    report.add_argument("--evaluate", action="store_true", help="score the test split")
    report.set_defaults(command=report_all)

    arguments = parser.parse_args()
    arguments.command(arguments)


def train_all(arguments: argparse.Namespace) -> None:
    """Train every run, some at a time."""
    waiting = [
        (family, seed) for seed in arguments.seeds for family in arguments.families
    ]
    active: list[subprocess.Popen[bytes]] = []
    while waiting or active:
        while waiting and len(active) < arguments.parallel:
            family, seed = waiting.pop(0)
            command = [
                *xlmgen("train"),
                f"families/{family}/experiments/{arguments.task}.yaml",
                "--run-dir",
                str(arguments.runs / f"{arguments.task}-{family}-{seed}"),
                f"size={arguments.size}",
                f"training.seed={seed}",
                *arguments.set,
            ]
            print("+", *command, file=sys.stderr)
            active.append(subprocess.Popen(command))
        for process in [p for p in active if p.poll() is not None]:
            if process.returncode:
                raise SystemExit(f"{process.args} ended with {process.returncode}")
            active.remove(process)
        time.sleep(0.2)


def report_all(arguments: argparse.Namespace) -> None:
    for task in arguments.tasks:
        runs = find(arguments.runs, task)
        if arguments.evaluate:
            for run in runs:
                if run.finished and run.scores is None:
                    subprocess.run([*xlmgen("eval"), str(run.path)], check=True)
        curves = [row for run in runs for row in run.curve]
        if curves:
            write_csv(HERE / "star" / f"{task}.csv", curves)
            draw(HERE / "star" / f"{task}.svg", task, curves)
        write_table(HERE / "star.md", task, runs)


def find(folder: Path, task: str) -> list[Run]:
    """The runs of a task that have begun, by family and seed."""
    runs = []
    for path in sorted(folder.glob(f"{task}-*/metrics.csv")):
        family, seed = path.parent.name.removeprefix(f"{task}-").rsplit("-", 1)
        runs.append(Run(family, int(seed), path.parent))
    return [run for run in runs if run.rows]


def xlmgen(command: str) -> list[str]:
    return [sys.executable, "-m", "xlmgen", command]


def write_table(page: Path, task: str, runs: list[Run]) -> None:
    """Rewrite the table of a task between its marks, if the page has them."""
    lines = [
        "| family | seed | steps | validation loss | exact match, validation | exact "
        "match, test | token accuracy, test | valid path, test |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        settings, curve = run.settings["training"], run.curve
        steps = f"{run.steps:,}"
        if not run.finished:
            steps += f" of {settings['max_steps']:,}"
        loss = f"{curve[-1]['loss']:.3f}" if curve else "–"
        match = percent(curve[-1]["exact_match"]) if curve else "–"
        scores = [percent(run.scores[s]) if run.scores else "–" for s in SCORES]
        cells = [run.family, str(run.seed), steps, loss, match, *scores]
        lines.append(f"| {' | '.join(cells)} |")
    table = "\n".join(lines) if runs else "No run yet."
    opened, closed = f"<!-- runs: {task} -->", "<!-- end -->"
    marked = re.compile(f"{re.escape(opened)}.*?{re.escape(closed)}", re.DOTALL)
    text = page.read_text("utf-8")
    new = f"{opened}\n\n{table}\n\n{closed}"
    page.write_text(marked.sub(lambda _: new, text), "utf-8", newline="\n")


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def draw(path: Path, task: str, rows: list[dict[str, Any]]) -> None:
    """Exact match on the validation split over steps, one line for every run."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "xlmgen"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.6), layout="constrained")
    named = set()
    for family, seed in dict.fromkeys((row["family"], row["seed"]) for row in rows):
        some = [row for row in rows if (row["family"], row["seed"]) == (family, seed)]
        axes.plot(
            [row["step"] for row in some],
            [100 * row["exact_match"] for row in some],
            color=COLORS.get(family),
            label=None if family in named else family,
        )
        named.add(family)
    axes.set(xlabel="optimiser steps", ylabel="exact match in %", ylim=(0, 101))
    axes.set_title(f"{task}, validation")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
