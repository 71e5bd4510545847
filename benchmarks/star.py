"""Train families on the same star graphs with the same backbone, and draw their curves.

Every run sees the same rows in the same order: task, size, batch, steps and seed are
equal, and only the family differs.

    python benchmarks/star.py star_tiny --families arlm mdlm --seeds 0 1
    python benchmarks/star.py star_easy --seeds 0 --set training.max_steps=10000

Writes `benchmarks/star/<task>.csv` (family, seed, step and what validation found) and
`benchmarks/star/<task>.svg`, and prints the test scores as a table. Needs the extra
`bench`.
"""

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
COLORS = {"arlm": "#b5495b", "mdlm": "#1b813e"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("task")
    parser.add_argument("--families", nargs="+", default=["arlm", "mdlm"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--runs", type=Path, default=Path("runs/star"))
    parser.add_argument("--parallel", type=int, default=1, help="runs at a time")
    arguments = parser.parse_args()

    runs = {
        (family, seed): arguments.runs / f"{arguments.task}-{family}-{seed}"
        for family in arguments.families
        for seed in arguments.seeds
    }
    seconds = train_all(arguments, runs)
    curves = [row for (f, s), run in runs.items() for row in curve(f, s, run)]
    out = HERE / "star"
    out.mkdir(exist_ok=True)
    write_csv(out / f"{arguments.task}.csv", curves)
    draw(out / f"{arguments.task}.svg", arguments.task, curves)

    print(f"{platform.machine()}, {os.cpu_count()} cores")
    print("| family | seed | exact match | token accuracy | valid path | minutes |")
    print("|---|---|---|---|---|---|")
    for (family, seed), run in runs.items():
        scores = evaluate(run)
        cells = " | ".join(
            f"{100 * scores[name]:.1f} %"
            for name in ("exact_match", "token_accuracy", "valid_path")
        )
        minutes = seconds[family, seed] / 60
        print(f"| {family} | {seed} | {cells} | {minutes:.1f} |")


def train_all(
    arguments: argparse.Namespace, runs: dict[tuple[str, int], Path]
) -> dict[tuple[str, int], float]:
    """Train every run, some at a time; seconds that each took."""
    waiting, active, seconds = dict(runs), {}, {}
    while waiting or active:
        while waiting and len(active) < arguments.parallel:
            key = next(iter(waiting))
            folder = waiting.pop(key)
            family, seed = key
            command = [
                *xlmgen("train"),
                f"families/{family}/experiments/{arguments.task}.yaml",
                "--run-dir",
                str(folder),
                f"size={arguments.size}",
                f"training.seed={seed}",
                *arguments.set,
            ]
            print("+", *command, file=sys.stderr)
            active[key] = (subprocess.Popen(command), time.monotonic())
        for key, (process, start) in list(active.items()):
            if process.poll() is None:
                continue
            if process.returncode:
                raise SystemExit(f"{key} ended with {process.returncode}")
            seconds[key] = time.monotonic() - start
            del active[key]
        time.sleep(0.2)
    return seconds


def curve(family: str, seed: int, run: Path) -> list[dict[str, Any]]:
    """What validation found at every step that it ran at."""
    with (run / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row.get("val/exact_match")]
    return [
        {
            "family": family,
            "seed": seed,
            "step": int(row["step"]),
            "loss": float(row["val/loss"]),
            "exact_match": float(row["val/exact_match"]),
        }
        for row in rows
    ]


def evaluate(run: Path) -> dict[str, float]:
    """Scores of the whole test split."""
    subprocess.run([*xlmgen("eval"), str(run)], check=True, stdout=subprocess.DEVNULL)
    scores: dict[str, float] = json.loads((run / "results" / "test.json").read_text())[
        "scores"
    ]
    return scores


def xlmgen(command: str) -> list[str]:
    return [sys.executable, "-m", "xlmgen", command]


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
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
    for family, seed in dict.fromkeys((row["family"], row["seed"]) for row in rows):
        some = [row for row in rows if (row["family"], row["seed"]) == (family, seed)]
        axes.plot(
            [row["step"] for row in some],
            [100 * row["exact_match"] for row in some],
            color=COLORS.get(family),
            label=family if seed == rows[0]["seed"] else None,
        )
    axes.set(xlabel="optimiser steps", ylabel="exact match in %", ylim=(0, 101))
    axes.set_title(f"{task}, validation")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
