"""Preview on the console, with colours and with marks of the same meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from xlmgen.evaluation.grid import Cell, print_grid
from xlmgen.evaluation.show_trace import one_line, visible
from xlmgen.preview.histogram import show_histogram
from xlmgen.preview.places import Kind, Place
from xlmgen.preview.preview import Preview, shown_rows, special_tokens
from xlmgen.terminal.escape import terminal

STYLES = {
    Kind.given: "cyan",
    Kind.seen: "",
    Kind.hidden: "bold red",
    Kind.changed: "bold magenta",
    Kind.special: "yellow",
    Kind.padding: "bright_black",
    Kind.missing: "bold bright_blue",
    Kind.gap: "blue",
}
"""Different colours of the 16 that every terminal has."""
TARGET = "bold green"
ABOUT = {
    Kind.given: ("⟨given⟩", "not predicted"),
    Kind.seen: ("seen", "of the answer, visible"),
    Kind.hidden: ("[hidden]", "masked"),
    Kind.changed: ("[changed]", "selected or noised, not masked"),
    Kind.special: ("special", ""),
    Kind.padding: ("(padding)", ""),
    Kind.missing: ("_", "missing"),
    Kind.gap: ("·", "could be missing, none is"),
}
WIDE = 120  # characters; wide enough for the table of splits
LONGEST = 240  # most characters shown of an example


def show(preview: Preview, console: Console) -> None:
    """Print a preview, from the task to the keys of the batch."""
    _task(preview, console)
    _splits(preview, console)
    _heading(console, f"lengths in {preview.split}, without special tokens")
    end = "max_length"
    if preview.task.packed:
        end = "tokens of the stream in a row"
    for name, found in preview.histograms.items():
        show_histogram(console, name, found, end)
    _examples(preview, console)
    _batch(preview, console)
    _keys(preview, console)


def _task(preview: Preview, console: Console) -> None:
    task = preview.task
    limit = task.max_length
    length = f"{limit.length}"
    if limit.prompt:
        length = f"prompt {limit.prompt} + answer {limit.answer} = {length}"
    special = "  ".join(
        f"{found['token']} {found['id']}" for found in special_tokens(task).values()
    )
    layout = f"{task.layout}, packing {task.packing}, overflow {task.overflow}"
    kind = task.tokenizer_options["kind"]
    for name, value in (
        ("experiment", f"{preview.experiment.name}, {preview.experiment.file}"),
        ("task", task.name + (f": {task.title}" if task.title else "")),
        ("layout", layout),
        ("max_length", f"{length} tokens, including special tokens"),
        ("tokenizer", f"{kind}, {task.tokenizer.vocab_size:,} ids: {special}"),
    ):
        console.print(Text.assemble((f"{name:<12}", "dim"), value))


def _splits(preview: Preview, console: Console) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column("split")
    for name in ("examples", "tokens", "dropped", "truncated"):
        table.add_column(name, justify="right")
    for split, found in preview.lengths.items():
        rows = found.examples + found.dropped
        table.add_row(
            terminal(split),
            f"{found.examples:,}",
            f"{found.tokens:,}",
            _lost(found.dropped, rows),
            _lost(found.truncated, rows),
        )
    console.print()
    wide = console.options.update(width=WIDE)
    for line in console.render_lines(table, wide, pad=False):
        text = Text()
        for segment in line:
            text.append(segment.text, segment.style)
        text.rstrip()
        console.print(text, soft_wrap=True)


def _lost(count: int, rows: int) -> str:
    return f"{count:,}, {_percent(count / rows)}" if count else "0"


def _examples(preview: Preview, console: Console) -> None:
    _heading(console, f"examples of {preview.split}")
    for example in preview.examples:
        label = f"{example['row']:<6}"
        for key in ("prompt", "target", "tokens"):
            if key not in example:
                continue
            text = one_line(example[key])
            if len(text) > LONGEST:
                text = f"{text[:LONGEST]}… ({example['lengths'][key]:,} tokens)"
            line = Text.assemble((f"{label}{key}  ", "dim"), text)
            console.print(line)
            label = " " * len(label)


def _batch(preview: Preview, console: Console) -> None:
    batch = preview.batch
    where = f"batch {batch.index} of {preview.split}"
    if batch.step is not None:
        seed = preview.experiment.training.seed
        where += f": step {batch.step}, seed {seed}, rank {batch.rank} of {batch.ranks}"
    _heading(console, where)
    if batch.reading is None:
        console.print("it has no two-dimensional input_ids and cannot be shown")
        return
    _numbers(preview.numbers, console)
    rows = {row: preview.places(row) for row in shown_rows(preview)}
    every = [place for places in rows.values() for place in places]
    console.print()
    show_legend(console, every, preview.task.layout)
    for row, places in rows.items():
        values = "".join(
            f"  {key} {value:.2f}" if isinstance(value, float) else f"  {key} {value}"
            for key, value in preview.per_row(row).items()
        )
        title = Text.assemble((f"row {row}", "bold"), f"  example {batch.rows[row]}")
        console.print()
        console.print(title.append(values, "dim"))
        show_places(console, places, preview.token)


def _numbers(found: Mapping[str, float], console: Console) -> None:
    rows = f"{found['rows']} of {found['positions']} positions"
    if "context" in found:
        rows += f" after a context of {found['context']}"
    lines = {"rows": rows, "padding": f"{_percent(found['padding'])} of the positions"}
    for key in ("masked", "noised", "scored"):
        if key in found:
            lines[key] = f"{_percent(found[key])} of the positions"
        if f"{key}_of_answer" in found:
            lines[key] += f", {_percent(found[f'{key}_of_answer'])} of the answer"
    if "pads_of_answer" in found:
        lines["PAD"] = f"{_percent(found['pads_of_answer'])} of the answer"
    if "missing" in found:
        lines["missing"] = f"{found['missing']:,} tokens"
    if "missing_of_answer" in found:
        lines["missing"] += f", {_percent(found['missing_of_answer'])} of the answer"
    if "t_mean" in found:
        times = (found["t_mean"], found["t_min"], found["t_max"])
        lines["t"] = "{:.2f} on average, from {:.2f} to {:.2f}".format(*times)
    for key, value in lines.items():
        console.print(Text.assemble((f"{key:<9}", "dim"), value))


def show_places(
    console: Console, places: Sequence[Place], name: Callable[[int], str]
) -> None:
    """Print the places of a row side by side: inputs, with targets below.

    Args:
        console: to print on.
        places: of the row.
        name: displayed text of an id.
    """
    lines = {
        "clean": any(place.clean is not None for place in places),
        "input": True,
        "target": any(place.target is not None for place in places),
        "t": any(place.t is not None for place in places),
        "place": any(place.position is not None for place in places),
        "next": any(place.next_position is not None for place in places),
    }
    columns: list[list[Cell]] = []
    time: float | None = None
    for kind, group in groupby(places, lambda place: place.kind):
        run = list(group)
        if kind is Kind.padding:  # one cell for all
            run, count = run[:1], len(run)
        for number, place in enumerate(run):
            cells = _cells(place, lambda id_: visible(name(id_)))
            if kind is Kind.given:
                opened, closed = number == 0, number == len(run) - 1
                cells = {
                    key: "⟨" * opened + text + "⟩" * closed
                    for key, text in cells.items()
                }
            elif kind is Kind.padding:
                many = f"×{count}" if count > 1 else ""
                cells = {key: f"({text}{many})" for key, text in cells.items()}
            styles = dict.fromkeys(cells, STYLES[kind]) | {"target": TARGET}
            if place.column is not None:
                styles["clean"] = STYLES[Kind.seen]
            if place.t is not None and place.t != time:
                cells["t"], styles["t"] = f"{place.t:.2f}", "dim"
            time = place.t
            for key, at in (
                ("place", place.position),
                ("next", place.next_position),
            ):
                if at is not None:
                    cells[key], styles[key] = str(at), "dim"
            columns.append(
                [
                    (cells.get(key, ""), styles.get(key, ""))
                    for key in lines
                    if lines[key]
                ]
            )
    labels = [f"  {key:<8}" for key, has_cells in lines.items() if has_cells]
    print_grid(console, columns, labels, repeat=True)


def _cells(place: Place, name: Callable[[int], str]) -> dict[str, str]:
    """Text of a place in each line."""
    cells = {}
    if place.clean is not None:
        cells["clean"] = name(place.clean)
    if place.input is not None:
        text = name(place.input)
        if place.kind in (Kind.hidden, Kind.changed) and not text.startswith("["):
            text = f"[{text}]"
        cells["input"] = text
    elif place.kind is Kind.missing:
        cells["input"] = "_" if place.missing is None else f"+{place.missing}"
    elif place.kind is Kind.gap:
        cells["input"] = "·"
    if place.target is not None:
        cells["target"] = name(place.target)
    return cells


def show_legend(console: Console, places: Sequence[Place], layout: str) -> None:
    """Print the legend of the colours and marks in use."""
    kinds = {place.kind for place in places}
    about = dict(ABOUT)
    if kinds & {Kind.missing, Kind.gap} and layout == "infill":
        about[Kind.seen] = ("seen", "of the answer, or given before a hole")
    if any(place.missing for place in places):
        about[Kind.missing] = ("+n", "n are missing")
    items = [
        Text.assemble((mark, STYLES[kind]), f" {meaning}".rstrip())
        for kind, (mark, meaning) in about.items()
        if kind in kinds
    ]
    if any(place.target is not None for place in places):
        items.append(Text.assemble(("target", TARGET), " to predict"))
    line = Text()
    for item in items:
        if line and len(line) + 2 + len(item) > console.width:
            console.print(line)
            line = Text()
        line.append("  " * bool(line)).append_text(item)
    console.print(line)


def _keys(preview: Preview, console: Console) -> None:
    _heading(console, "keys of the batch")
    keys = preview.keys
    width = max(len(found["key"]) for found in keys)
    for found in keys:
        line = Text.assemble(
            (f"{found['key']:<{width}}", "bold"), f"  {_describe(found)}"
        )
        if not found["drawn"] and "shape" in found:
            line.append("  not shown above", "dim")
        console.print(line)


def _describe(found: dict[str, Any]) -> str:
    if "shape" in found:
        shape = ", ".join(map(str, found["shape"]))
        return f"({shape}{',' * (len(found['shape']) == 1)}) {found['dtype']}"
    return str(found["value"]) if "value" in found else str(found["type"])


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, "bold underline"))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
