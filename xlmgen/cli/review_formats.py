"""Output formats of a review: text, Markdown and GitHub annotations."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from xlmgen.cli.formats import annotation, heading
from xlmgen.review import Item, Review
from xlmgen.review.hooks import Hook
from xlmgen.review.network import Network
from xlmgen.terminal.escape import code, terminal, terminal_lines, workflow_command
from xlmgen.terminal.escape import markdown as escaped

LEVELS = {"checkpoint": "warning", "config": "warning", "source": "warning"}
LONGEST_DIFF = 60_000  # characters of a page; GitHub allows a million in all


def text(review: Review, *, diff: bool = True) -> str:
    """Format a paragraph per spec: its class, its changes and what they break."""
    lines: list[str] = []
    for item in review.items:
        lines += [terminal(f"{item.path}: {_title(item)}"), *_indented(_changes(item))]
        lines += _indented(_costs(item, review, "  {:<10} {}  {}"))
        if diff and item.diff:
            lines += ["", terminal_lines(item.diff)]
        lines.append("")
    lines += [terminal(_hook(hook)) for hook in review.hooks]
    return "\n".join([*lines, terminal(summary(review))])


def markdown(review: Review, *, diff: bool = True) -> str:
    """Format a review as a Markdown page with folded diffs."""
    lines = ["## xlmgen review", "", escaped(summary(review)), ""]
    if review.items:
        lines += ["| spec | | class |", "| --- | --- | --- |"]
        lines += [
            f"| {code(i.path, cell=True)} | {escaped(i.event)} | {_classes(i)} |"
            for i in review.items
        ]
        lines.append("")
    for item in review.items:
        lines += [f"### {item.kind} {escaped(item.name)}: {_classes(item)}", ""]
        lines += [f"- {escaped(line)}" for line in _changes(item)]
        costs = list(_costs(item, review, "| {} | {} | {} |"))
        if costs:
            measured = _measured(review)
            lines += ["", f"| size | {measured} | modules |", "| --- | --- | --- |"]
            lines += costs
        if diff and item.diff:
            lines += ["", *_folded(item.diff)]
        lines.append("")
    if review.hooks:
        lines += ["### Where YAML reaches code", ""]
        lines += [f"- {escaped(_hook(hook))}" for hook in review.hooks]
    return "\n".join(lines).rstrip()


def github(review: Review, *, diff: bool = True) -> str:
    """Format annotations: one per changed spec, one per place that runs code."""
    lines = []
    for item in review.items:
        lines += [annotation(problem) for problem in item.problems]
        if not item.problems:
            worst = _worst(item)
            message = [_title(item), *_changes(item)]
            level = LEVELS.get(worst, "notice")
            lines.append(_command(level, item.path, item.line, worst, message))
    for hook in review.hooks:
        level = "warning" if hook.new else "notice"
        lines.append(_command(level, hook.path, hook.line, "python", [_hook(hook)]))
    return "\n".join(lines)


FORMATS: dict[str, Callable[..., str]] = {
    "text": text,
    "markdown": markdown,
    "github": github,
}


def summary(review: Review) -> str:
    """Count the specs of each class in one line."""
    if not review.items:
        return f"nothing differs from {review.against}"
    counts: dict[str, int] = {}
    for item in review.items:
        worst = _worst(item)
        counts[worst] = counts.get(worst, 0) + 1
    listed = ", ".join(f"{n} {of}" for of, n in counts.items())
    total = len(review.items) + review.unchanged
    return (
        f"{len(review.items)} of {total} specs differ from {review.against}: {listed}"
    )


def _title(item: Item) -> str:
    return f"{item.kind} {item.name} {item.event}: {_classes(item)}"


def _classes(item: Item) -> str:
    return ", ".join(item.classes) or _worst(item)


def _worst(item: Item) -> str:
    """Return the first of its classes, or its event if it has none."""
    if item.problems:
        return "invalid"
    return item.classes[0].value if item.classes else "none"


def _changes(item: Item) -> Iterator[str]:
    """Return a spec's changes, what they break, and notes."""
    yield from (change.text for change in item.changes)
    yield from (f"{reason.of}: {reason.text}" for reason in item.reasons)
    yield from (heading(problem) for problem in item.problems)
    yield from (f"note: {note}" for note in item.notes)


def _costs(item: Item, review: Review, form: str) -> Iterator[str]:
    """Return a line per size that may differ, and the legend of the counts."""
    for size, (before, after) in item.networks.items():
        change = f"{_cost(before)} → {_cost(after)}"
        name = escaped(size) if "|" in form else size
        same = before is not None and _cost(before) == _cost(after)
        parts = "; ".join(_modules(before, after))
        yield form.format(name, _cost(after) if same else change, parts).rstrip()
    if item.networks and "|" not in form:
        yield f"  ({_measured(review)})"


def _measured(review: Review) -> str:
    measure = review.measure
    return (
        f"parameters, training FLOPs per token: vocabulary of {measure.vocabulary:,}, "
        f"{measure.length:,} tokens"
    )


def _cost(network: Network | None) -> str:
    if network is None:
        return "–"
    return f"{_short(network.parameters)}, {_short(network.flops)}FLOP"


def _modules(before: Network | None, after: Network | None) -> Iterator[str]:
    """Parameters of the modules of a new network, or of those that differ."""
    old = {} if before is None else before.modules
    new = {} if after is None else after.modules
    for name in dict.fromkeys((*new, *old)):
        if before is None:
            yield f"{name} {_number(new, name)}"
        elif after is not None and old.get(name) != new.get(name):
            yield f"{name} {_number(old, name)} → {_number(new, name)}"


def _number(modules: Mapping[str, int], name: str) -> str:
    return _short(modules[name]).strip() if name in modules else "–"


def _short(number: int) -> str:
    """Format a number with four digits and a prefix: `92.32 M`."""
    for power, prefix in ((12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if number >= 10**power:
            return f"{number / 10**power:.4g} {prefix}"
    return f"{number} "


def _hook(hook: Hook) -> str:
    new = " (new)" if hook.new else ""
    return f"{hook.path}:{hook.line}: {hook.key} {hook.verb} {hook.target}{new}"


def _folded(diff: str) -> Iterable[str]:
    cut = len(diff) > LONGEST_DIFF
    diff = terminal_lines(diff)
    ticks = max((len(run) for run in re.findall("`+", diff)), default=0)
    fence = "`" * max(3, ticks + 1)
    return [
        "<details><summary>render</summary>",
        "",
        f"{fence}diff",
        diff[:LONGEST_DIFF] + ("\n… cut off" if cut else ""),
        fence,
        "",
        "</details>",
    ]


def _command(level: str, path: str, line: int, title: str, lines: list[str]) -> str:
    properties = {"file": path, "line": line, "title": f"review: {title}"}
    return workflow_command(level, properties, lines)


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {terminal(line)}" for line in lines]
