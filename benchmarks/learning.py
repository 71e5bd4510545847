"""Train families on a task until they have learnt it, beside peers, and report it.

    python benchmarks/learning.py run star_easy --seeds 0 1 2
    python benchmarks/learning.py run star_easy --families mdlm ilm --against xlm-core
    python benchmarks/learning.py report star_easy star_medium

`run` trains families × seeds into `runs/learning/TASK/FAMILY-SEED`, some at a time on
one thread each, and evaluates the entire test split of every run that has ended.
Ctrl-C lets the runs save; the same command continues them and leaves out what is done.
Every run of a seed sees the same rows in the same order of batches.

`--against xlm-core` also trains that library's own model, loss and collator on these
rows, with the same steps, batches, optimiser settings and learning rates, in a virtual
environment of its own, which is installed at first.
`--against gpt2` trains GPT-2 of the transformers library beside `arlm`.

`report` reads the run folders, finished or not: it writes the tables between the marks
of the task in `benchmarks/LEARNING.md`, and the curves as `TASK.csv` and `TASK.svg` in
`benchmarks/learning`. The SVG needs the extra `bench`.
"""

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from benchmarks.learn import report  # noqa: E402
from benchmarks.learn.curves import colours, draw  # noqa: E402
from benchmarks.learn.jobs import (  # noqa: E402
    PEER_FAMILIES,
    ROOT,
    LearningJob,
    Plan,
    environment,
    families,
)
from benchmarks.learn.runs import PEERS, find  # noqa: E402
from benchmarks.learn.table import Board  # noqa: E402
from benchmarks.learn.target import Target  # noqa: E402
from xlmgen.errors import UserError  # noqa: E402
from xlmgen.sweeps.queue import Queue  # noqa: E402

FAMILIES = sorted(path.parent.name for path in ROOT.glob("families/*/family.yaml"))
TARGET = Target("val/exact_match", 0.95)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/learning"))
    commands = parser.add_subparsers(required=True)

    run = commands.add_parser("run", help="train, or continue, families on a task")
    run.add_argument("task", help="star_easy: families/*/experiments/star_easy.yaml")
    run.add_argument("--families", nargs="+", choices=FAMILIES, metavar="FAMILY")
    run.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    run.add_argument("--size", default="tiny")
    run.add_argument("--parallel", type=int, default=cores(), help="runs at a time")
    run.add_argument("--against", choices=PEERS, help="train its models as well")
    run.add_argument("--peer", type=Path, default=HERE / ".peer", help="of xlm-core")
    run.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    run.add_argument("--no-eval", action="store_true", help="leave the test split out")
    run.set_defaults(command=run_all)

    reporting = commands.add_parser("report", help="write tables and curves of tasks")
    reporting.add_argument("tasks", nargs="+", metavar="TASK")
    reporting.add_argument("--page", type=Path, default=HERE / "LEARNING.md")
    reporting.add_argument("--curves", type=Path, default=HERE / "learning")
    reporting.set_defaults(command=report_all)

    for command in (run, reporting):
        command.add_argument(
            "--target", type=Target.parse, default=TARGET, metavar="METRIC=VALUE"
        )
    asked = parser.parse_args(arguments)
    try:
        code: int = asked.command(asked)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return code


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_all(asked: argparse.Namespace) -> int:
    """Train and evaluate all runs; 1 if one has failed, 130 if they were stopped."""
    from rich.console import Console

    jobs = plan(asked)
    console = Console()
    board = Board(console, asked.target)
    queue = Queue(jobs, asked.parallel, lambda slot: environment(), board.update)
    board.jobs = queue.jobs
    with board:
        queue.run()
    for progress in queue.failed:
        run = progress.job.run
        console.print(
            f"{run.path.name} failed: {progress.reason}  ({run.log})",
            style="red",
            markup=False,
            soft_wrap=True,
        )
    if queue.was_stopped:
        console.print("stopped; the same command continues")
        return 130
    return 1 if queue.failed else 0


def plan(asked: argparse.Namespace) -> list[LearningJob]:
    """The jobs in their order: by seed, ours before the peer's.

    Raises:
        UserError: there is no such experiment, or a setting is wrong.
    """
    wanted = Plan(
        task=asked.task,
        folder=(asked.runs / asked.task).resolve(),
        size=asked.size,
        settings=asked.set,
        evaluate=not asked.no_eval,
        peer_folder=asked.peer,
    )
    names = asked.families or families(asked.task)
    if not names:
        raise UserError(
            f"no family has an experiment {asked.task}.yaml",
            "see families/*/experiments for the tasks",
        )
    peers = PEER_FAMILIES[asked.against] if asked.against else ()
    jobs = []
    for seed in asked.seeds:
        jobs += [wanted.job(name, seed) for name in names]
        jobs += [wanted.job(n, seed, asked.against) for n in names if n in peers]
    return jobs


def report_all(asked: argparse.Namespace) -> int:
    """Write the tables and curves of some tasks."""
    for task in asked.tasks:
        runs = find(asked.runs / task)
        picture = asked.curves / f"{task}.svg"
        if rows := report.curve_rows(runs, asked.target):
            report.write_csv(picture.with_suffix(".csv"), rows)
            if find_spec("matplotlib") is not None:
                title = f"{task}, validation"
                draw(picture, title, rows, asked.target, colours(FAMILIES))
            else:
                print("no SVG without matplotlib: pip install 'xlmgen[bench]'")
        text = report.section(runs, asked.target)
        if picture.is_file():
            place = os.path.relpath(picture, asked.page.parent)
            text += f"\n\n![{asked.target.metric} over steps]({place})"
        if not report.write_section(asked.page, task, text):
            print(f"{asked.page} has no marks for {task}; its tables:\n\n{text}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
