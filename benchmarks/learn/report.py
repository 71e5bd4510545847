"""What the runs of a task have come to: a table in the page, and the curves as CSV."""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.learn.decoding import one_token_per_pass, result_name
from benchmarks.learn.hardware import sentence
from benchmarks.learn.runs import Run
from benchmarks.learn.target import Target
from benchmarks.learn.text import mean_error, percent
from xlmgen.io.files import write_text

SCORE = "exact_match"
NONE = "–"
NATS = ("data_nll", "data_nll_bound")
"""Nats per token of the data: exact, or a bound."""
Cells = Sequence[str]


def section(runs: Sequence[Run], target: Target) -> str:
    """The tables of a task: families over their seeds, runs one by one, machines."""
    if not runs:
        return "No run yet."
    texts = any(scores(run) is None and bits(run) for run in runs)
    parts = [families_table(runs, target, texts), runs_table(runs, target, texts)]
    parts += machines(runs)
    if texts and (entropy := unigram_entropy(runs)) is not None:
        parts.append(
            f"The unigram entropy of the test split is {entropy:.3f} bits per token."
        )
    return "\n\n".join(parts)


def families_table(runs: Sequence[Run], target: Target, texts: bool) -> str:
    """Means over the seeds of every family and peer, with their standard errors."""
    head = ["family", "seeds", f"reached {target}", "steps to it", "seconds to it"]
    head += ["bits per token, test"] if texts else SCORES
    lines = []
    for label in dict.fromkeys(run.label for run in runs):
        seeds = [run for run in runs if run.label == label]
        steps = [run.steps_to(target) for run in seeds]
        reached = [step for step in steps if step is not None]
        times = [
            run.seconds_to(step)
            for run, step in zip(seeds, steps, strict=True)
            if step is not None
        ]
        known = [seconds for seconds in times if seconds is not None]
        lines.append(
            [
                label,
                str(len(seeds)),
                f"{len(reached)} of {len(seeds)}",
                whole(reached),
                whole(known) if len(known) == len(reached) else NONE,
                *(
                    [mean_bits(seeds)]
                    if texts
                    else [mean_score([way(run) for run in seeds]) for way in WAYS]
                ),
            ]
        )
    return markdown(head, lines)


def runs_table(runs: Sequence[Run], target: Target, texts: bool) -> str:
    """Every run; ± is the standard error over the rows of the test split."""
    head = ["run", "seed", "steps", "validation loss", f"validation {target.metric}"]
    head += ["steps to target", "seconds to target"]
    head += ["bits per token, test"] if texts else SCORES
    lines = []
    for run in runs:
        last = (run.validations() or [{}])[-1]
        step = run.steps_to(target)
        seconds = None if step is None else run.seconds_to(step)
        steps = f"{run.step:,}"
        if not run.is_finished:
            steps += f" of {run.settings.get('training', {}).get('max_steps', 0):,}"
        loss, value = last.get("val/loss"), last.get(target.metric)
        lines.append(
            [
                run.label,
                str(run.seed),
                steps,
                NONE if loss is None else f"{loss:.4f}",
                shown(target, value),
                NONE if step is None else f"{step:,}",
                NONE if seconds is None else f"{seconds:,.0f}",
                *([bits(run) or NONE] if texts else [score(way(run)) for way in WAYS]),
            ]
        )
    return markdown(head, lines)


def machines(runs: Sequence[Run]) -> list[str]:
    """The hardware of all runs: one list entry for each combination."""
    found: dict[str, list[str]] = {}
    for run in runs:
        there = dict.fromkeys(sentence(machine) for machine in run.machines)
        text = "; then ".join(there) or "not recorded"
        found.setdefault(text, []).append(f"{run.label} {run.seed}")
    if len(found) == 1:
        return [f"Trained on {next(iter(found))}."]
    return [f"Trained on {text}: {', '.join(names)}." for text, names in found.items()]


def scores(run: Run) -> tuple[float, float] | None:
    """Exact match on the test split as the family decodes, and its standard error."""
    return _score(run.results())


def scores_one_by_one(run: Run) -> tuple[float, float] | None:
    """The same, one token per forward pass, where that is another way of decoding."""
    spec = run.path / "families" / run.family / "family.yaml"
    if run.peer or not spec.is_file():
        return None
    # the options are those of the run's own copy, as `run` has asked for them
    predictor = {**_yaml(spec)["predictor"], **run.settings.get("predictor", {})}
    task = _yaml(run.path / "task.yaml")
    options = one_token_per_pass(predictor, task["max_length"]["answer"])
    return None if options is None else _score(run.results(result_name(options)))


WAYS = (scores, scores_one_by_one)
SCORES = ["exact match, test", "one token per pass, test"]


def _score(results: Mapping[str, Any] | None) -> tuple[float, float] | None:
    if results is None or SCORE not in results.get("scores", {}):
        return None
    error = results.get("scores_error", {}).get(SCORE)
    return results["scores"][SCORE], math.nan if error is None else error


def score(found: tuple[float, float] | None) -> str:
    return NONE if found is None else percent(*found)


def mean_score(found: Sequence[tuple[float, float] | None]) -> str:
    """The mean over seeds; of a single one with the error over rows."""
    known = [pair for pair in found if pair is not None]
    if not known:
        return NONE
    if len(known) == 1:
        return f"{percent(known[0][0])} (one seed)"
    return percent(*mean_error([value for value, _ in known]))


def bits(run: Run) -> str:
    """Bits per token of the test split, `≤` before a bound; empty for neither."""
    found = _nats(run)
    if found is None:
        return ""
    sign = "≤ " if found[0] == NATS[1] else ""
    return f"{sign}{found[1] / math.log(2):.4f}"


def mean_bits(runs: Sequence[Run]) -> str:
    """The mean of `bits` over seeds, with its standard error."""
    found = [pair for run in runs if (pair := _nats(run)) is not None]
    if not found:
        return NONE
    mean, error = mean_error([nats / math.log(2) for _, nats in found])
    sign = "≤ " if found[0][0] == NATS[1] else ""
    return f"{sign}{mean:.4f}" + (f" ± {error:.4f}" if math.isfinite(error) else "")


def _nats(run: Run) -> tuple[str, float] | None:
    loss = (run.results() or {}).get("loss", {})
    return next(((n, loss[n]) for n in NATS if loss.get(n) is not None), None)


def unigram_entropy(runs: Sequence[Run]) -> float | None:
    """Bits per token of the test split, by the frequencies of its tokens alone."""
    from xlmgen.runs.run import Run as RunFolder

    ours = next((run for run in runs if not run.peer), None)
    if ours is None:
        return None
    task = RunFolder.open(ours.path).load_task()
    special = task.tokenizer.special
    ignored = {special.pad, special.bos, special.eos, special.mask, special.cls}
    return entropy((row["tokens"].tolist() for row in task.examples("test")), ignored)


def entropy(rows: Iterable[Sequence[int]], ignored: Collection[int] = ()) -> float:
    """Bits per token of rows whose tokens are drawn by their frequencies."""
    counts = Counter(token for row in rows for token in row if token not in ignored)
    total = counts.total()
    return -sum(n / total * math.log2(n / total) for n in counts.values())


def shown(target: Target, value: float | None) -> str:
    if value is None:
        return NONE
    return f"{value:.4f}" if target.falls else percent(value)


def whole(values: Sequence[float]) -> str:
    """The mean of whole numbers with its standard error."""
    if not values:
        return NONE
    mean, error = mean_error(values)
    return f"{mean:,.0f}" + (f" ± {error:,.0f}" if math.isfinite(error) else "")


def markdown(head: Cells, lines: Sequence[Cells]) -> str:
    table = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in table)


def write_section(page: Path, task: str, text: str) -> bool:
    """Put the text between the marks of a task; whether the page has them."""
    opened, closed = f"<!-- runs: {task} -->", "<!-- end -->"
    marked = re.compile(f"{re.escape(opened)}.*?{re.escape(closed)}", re.DOTALL)
    old = page.read_text("utf-8")
    new, count = marked.subn(lambda _: f"{opened}\n\n{text}\n\n{closed}", old)
    if count:
        write_text(page, new)
    return bool(count)


def curve_rows(runs: Sequence[Run], target: Target) -> list[dict[str, Any]]:
    """What every validation of every run has found."""
    names = dict.fromkeys(("val/loss", target.metric))
    return [
        {
            "family": run.family,
            "peer": run.peer,
            "seed": run.seed,
            "step": int(row["step"]),
            **{name: row.get(name, "") for name in names},
        }
        for run in runs
        for row in run.validations()
    ]


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _yaml(path: Path) -> dict[str, Any]:
    import yaml

    data: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return data
