"""Measure how far few-step samplers are from the distribution of their network.

    python benchmarks/samplers.py run
    python benchmarks/samplers.py run --only random "top_prob, threshold"
    python benchmarks/samplers.py report

The network is an oracle: it returns the true conditionals of a Markov chain of 27
tokens, for rows of 256 tokens. So all errors are those of the sampler. `run` measures
every option of `benchmarks/sample/options.py` at several numbers of forward passes, on
one thread, into `benchmarks/samplers/results.json`; the same command continues after
Ctrl-C and leaves out what is done. `--again` measures the named options once more.

`report` writes the figure `benchmarks/samplers/samplers.svg` (it needs the extra
`bench`) and the table in `docs/samplers.md`.
"""

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from textwrap import fill
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from benchmarks.learn.hardware import hardware, sentence  # noqa: E402
from benchmarks.learn.report import markdown, write_section  # noqa: E402
from benchmarks.sample.figure import EXACT, FAR, draw  # noqa: E402
from benchmarks.sample.measure import Setting, measure, settings  # noqa: E402
from benchmarks.sample.options import SAMPLERS, Sampler  # noqa: E402
from xlmgen.errors import UserError  # noqa: E402
from xlmgen.io.files import write_text  # noqa: E402

FOLDER = HERE / "samplers"
PAGE = HERE.parent / "docs" / "samplers.md"
SHOWN = (8, 16, 32)
"""Numbers of passes in the table of samplers."""
Points = Sequence[Mapping[str, Any]]
NAMES = [sampler.name for sampler in SAMPLERS]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)

    run = commands.add_parser("run", help="measure samplers, or continue")
    run.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME")
    run.add_argument("--again", action="store_true", help="measure them once more")
    default = Setting()
    for name in ("tokens", "length", "rows", "seed"):
        run.add_argument(f"--{name}", type=int, default=getattr(default, name))
    run.set_defaults(command=run_all)

    reporting = commands.add_parser("report", help="write the figure and the table")
    reporting.add_argument("--page", type=Path, default=PAGE)
    reporting.set_defaults(command=report)

    for command in (run, reporting):
        command.add_argument("--results", type=Path, default=FOLDER)
    asked = parser.parse_args(arguments)
    try:
        code: int = asked.command(asked)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command continues", file=sys.stderr)
        return 130
    return code


def run_all(asked: argparse.Namespace) -> int:
    """Measure all points that the results lack, and write each when it is known."""
    import torch
    from rich.progress import Progress

    torch.set_num_threads(1)
    setting = Setting(asked.tokens, asked.length, asked.rows, asked.seed)
    path = asked.results / "results.json"
    results = read(path) or {"machine": hardware(threads=1), "points": []}
    results["setting"] = same_setting(path, results, settings(setting))
    chosen = [sampler for sampler in SAMPLERS if sampler.name in asked.only]
    points = [
        point
        for point in results["points"]
        if not (asked.again and point["name"] in asked.only)
    ]
    known = {(point["name"], point["value"]) for point in points}
    missing = [
        (sampler, value)
        for sampler in chosen
        for value in sampler.values
        if (sampler.name, value) not in known
    ]
    with Progress() as progress:
        task = progress.add_task("", total=len(missing))
        for sampler, value in missing:
            progress.update(task, description=f"{sampler.name}, {sampler.vary} {value}")
            points.append(measure(sampler, value, setting))
            points.sort(key=lambda p: (NAMES.index(p["name"]), p["passes"]))
            results["points"] = points
            write_text(path, json.dumps(results, indent=1) + "\n")
            progress.advance(task)
    return 0


def read(path: Path) -> dict[str, Any] | None:
    """The results in a file, without those of samplers that no longer exist."""
    if not path.is_file():
        return None
    results: dict[str, Any] = json.loads(path.read_text("utf-8"))
    results["points"] = [p for p in results["points"] if p["name"] in NAMES]
    return results


def same_setting(
    path: Path, results: dict[str, Any], setting: dict[str, Any]
) -> dict[str, Any]:
    """Check that results on disk have this setting, and return it.

    Raises:
        UserError: they were measured with another.
    """
    for key, old in results.get("setting", setting).items():
        if key not in ("entropy", "floor") and old != setting[key]:
            raise UserError(
                f"{path} was measured with {key} {old}, not {setting[key]}",
                "choose another folder with --results, or remove the file",
            )
    return setting


def report(asked: argparse.Namespace) -> int:
    """Write the figure, and the table of the page."""
    path = asked.results / "results.json"
    results = read(path)
    if not results or not results["points"]:
        raise UserError(f"{path} has no results", "measure first: samplers.py run")
    if find_spec("matplotlib") is not None:
        floor = results["setting"]["floor"]
        draw(asked.results / "samplers.svg", results["points"], floor)
    else:
        print("no SVG without matplotlib: pip install 'xlmgen[bench]'")
    if not write_section(asked.page, "samplers", section(results)):
        print(f"{asked.page} has no marks for samplers")
    return 0


def section(results: dict[str, Any]) -> str:
    """A table of samplers, one of all points, and how they were measured."""
    setting = results["setting"]
    return "\n\n".join(
        [
            markdown(*summary(results["points"])),
            fill(
                f"A Markov chain of {setting['tokens']} tokens and entropy "
                f"{setting['entropy']:.3f} nats per token; {setting['rows']} rows of "
                f"{setting['length']} tokens for each point. As many exact samples "
                f"have a total variation of {setting['floor']:.4f}. Measured on "
                f"{sentence(results['machine'])}.",
                88,
            ),
            "<details><summary>All points</summary>",
            markdown(*details(results["points"])),
            "</details>",
        ]
    )


def summary(points: Points) -> tuple[list[str], list[list[str]]]:
    """Head and lines of the table with one line for each sampler."""
    head = ["sampler", *(f"KL at {n} passes" for n in SHOWN)]
    head += [f"variation at {n}" for n in SHOWN]
    lines = []
    for sampler in SAMPLERS:
        some = [point for point in points if point["name"] == sampler.name]
        cells = [
            shown(at_passes(some, metric, passes))
            for metric in ("kl", "tv")
            for passes in SHOWN
        ]
        lines.append([sampler.name, *cells])
    return head, lines


def at_passes(points: Points, metric: str, passes: int) -> float | None:
    """A value between two measured points: the logarithms of both are linear.

    None outside the measured numbers of passes, between points that are far apart, or
    if the metric is not known.
    """
    known = sorted(
        (point["passes"], point[metric])
        for point in points
        if point[metric] is not None
    )
    for (x, y), (x_next, y_next) in pairwise(known):
        if x <= passes <= x_next and x < x_next <= FAR * x:
            share = math.log(passes / x) / math.log(x_next / x)
            ends = [math.log(max(value, EXACT)) for value in (y, y_next)]
            return math.exp((1 - share) * ends[0] + share * ends[1])
    return None


def details(points: Points) -> tuple[list[str], list[list[str]]]:
    """Head and lines of the table of all points."""
    head = ["sampler", "option", "passes", "KL", "variation", "−log p"]
    order = {sampler.name: sampler for sampler in SAMPLERS}
    return head, [cells(order[point["name"]], point) for point in points]


def shown(value: float | None) -> str:
    if value is None:
        return "–"
    return "0" if value < 2 * EXACT else f"{value:.3f}"


def cells(sampler: Sampler, point: Mapping[str, Any]) -> list[str]:
    kl = "–"
    if point["kl"] is not None:
        kl = f"{point['kl']:.4f} ± {point['kl_error']:.4f}"
        if abs(point["kl"]) < EXACT:
            kl = "0"
    return [
        sampler.name,
        f"{sampler.vary} {point['value']}",
        f"{point['passes']:.4g}",
        kl,
        f"{point['tv']:.4f} ± {point['tv_error']:.4f}",
        f"{point['nll']:.3f}",
    ]


if __name__ == "__main__":
    raise SystemExit(main())
