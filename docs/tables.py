"""Write the tables of the documentation that follow from the code.

    python docs/tables.py

A page marks such a table with `<!-- table: NAME -->` and `<!-- end -->`; the text in
between is replaced. `tests/test_docs.py` fails if a page is not current.

    codes                       every diagnostic
    pages                       the meaning of every diagnostic, with an example
    options COMPONENT.KIND          the options of a kind
    keys FILE.PATH              the keys at a path of the experiment or task schema
    common FILE.PATH            those of them that belong to no single kind
    generated GENERATOR         the tasks that ship with examples of a generator
    metrics                     the metrics that check the rules of a generator
    fields COMPONENT.KIND KEYWORD   the entries of x-batch, x-prompt or x-output
    contracts                   the capabilities that every kind provides and requires
    proofs                      the suites that prove what a loss gives
    stars                       the star-graph tasks
    corpora                     the texts that ship
    hub                         the tasks that ship with examples from the Hub
    families                    the map of families
    planted                     the mistakes that the test kit is tested with
    runtime MODULE              the public names of a module of `xlmgen.runtime`
"""

from __future__ import annotations

import importlib
import inspect
import math
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import family_map
import yaml
from torch.nn import Module

from xlmgen.evaluation.entropy import entropy
from xlmgen.spec import generators
from xlmgen.spec.code_pages import PAGES, Page
from xlmgen.spec.contracts import Clause, clauses
from xlmgen.spec.defaults import fill_defaults
from xlmgen.spec.diagnostics import CODES
from xlmgen.spec.explain import Entry, explain
from xlmgen.spec.likelihood import PROOFS
from xlmgen.spec.load import load_yaml
from xlmgen.spec.schemas import COMPONENTS, built_in
from xlmgen.tasks.corpora import TEXTS
from xlmgen.tasks.find import BUILT_IN
from xlmgen.tasks.spec import SPLITS

DOCS = Path(__file__).parent
MARKED = re.compile(r"(<!-- table: ([^\n]+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def current(page: str) -> str:
    """A page's text with every marked table written again."""
    return MARKED.sub(
        lambda found: f"{found[1]}\n{table(found[2])}\n\n{found[3]}", page
    )


def table(name: str) -> str:
    """The table of this name, as Markdown.

    Raises:
        KeyError: there is no such table.
    """
    what, _, of = name.partition(" ")
    return MAKERS[what](of)


def codes(_: str) -> str:
    rows = [(f"`{code}`", c.severity, c.meaning) for code, c in CODES.items()]
    return markdown(("code", "severity", "meaning"), rows)


def pages(_: str) -> str:
    return "\n\n".join(_page(code, page) for code, page in PAGES.items())


def _page(code: str, page: Page) -> str:
    parts = [f"### {code}: {CODES[code].meaning}", textwrap.fill(page.about, 88)]
    if page.wrong:
        parts.append(f"```yaml\n# wrong\n{page.wrong}\n# right\n{page.right}\n```")
    return "\n\n".join([*parts, textwrap.fill(page.fix, 88)])


def options(kind: str) -> str:
    (entry,) = explain(kind)
    rows = [row for child in entry.children for row in _rows(child, entry)]
    return markdown(("option", "values", "default", "description"), rows)


def keys(path: str) -> str:
    (entry,) = explain(path)
    rows = [row for child in entry.children for row in _rows(child, entry)]
    return markdown(("key", "values", "default", "description"), rows)


def common(path: str) -> str:
    (entry,) = explain(path)
    shared = [child for child in entry.children if child.kind == entry.kind]
    rows = [row for child in shared for row in _rows(child, entry)]
    return markdown(("key", "values", "default", "description"), rows)


def generated(generator: str) -> str:
    rows = []
    for path in sorted(BUILT_IN.glob("*.yaml")):
        task = fill_defaults(load_yaml(path).data, "task")
        source, max_length = task["source"], task["max_length"]
        if source.get("generator") != generator:
            continue
        settings = {
            key: value
            for key, value in source.items()
            if key not in ("generator", "sizes", "seed", "rules")
        }
        longest = generators.shape(generator).longest(source)
        rows.append(
            (
                f"`{task['name']}`",
                ", ".join(f"{key} {_setting(v)}" for key, v in settings.items()),
                " / ".join(map(str, longest.values())),
                " / ".join(str(max_length[key]) for key in longest),
                " / ".join(f"{n:,}" for n in source["sizes"].values()),
            )
        )
    of = " / ".join(longest) if generators.layout(generator) == "seq2seq" else "example"
    header = ("task", "settings", f"{of}: tokens, at most", "max_length")
    return markdown((*header, "train / validation / test"), rows)


def _setting(value: Any) -> str:
    """A setting as a person writes it: ranges as 3–6."""
    if isinstance(value, dict):
        return "–".join(map(str, dict.fromkeys(value.values())))
    return ", ".join(value) if isinstance(value, list) else str(value)


def metrics(_: str) -> str:
    rows = [
        (f"`{metric.name}`", f"`{metric.generator}`", metric.about)
        for metric in generators.metrics().values()
    ]
    return markdown(("metric", "generator", "1 if"), rows)


def fields(what: str) -> str:
    kind, keyword = what.split()
    schema = built_in().kind(*kind.split("."))
    rows = [
        (f"`{entry['name']}`", f"`{entry['type']}`", entry["about"] + _condition(entry))
        for entry in schema[keyword]
    ]
    return markdown(("key", "type", "description"), rows)


def contracts(_: str) -> str:
    rows = []
    for component in COMPONENTS:
        for kind in built_in().kinds(component):
            schema = built_in().kind(component, kind)
            provides = _capabilities(clauses(schema, "x-provides"))
            requires = _capabilities(clauses(schema, "x-requires"))
            rows.append((component, f"`{kind}`", provides, requires))
    return markdown(("component", "kind", "provides", "requires"), rows)


def proofs(_: str) -> str:
    rows = [
        (
            proof.gives,
            ", ".join(f"`{name}`" for name in sorted(proof.capabilities)),
            f"`{proof.suite}`",
        )
        for proof in PROOFS
    ]
    return markdown(("loss gives", "family provides", "suite"), rows)


def stars(_: str) -> str:
    rows = []
    for path in sorted(BUILT_IN.glob("star_*.yaml")):
        task = fill_defaults(load_yaml(path).data, "task")
        source, max_length = task["source"], task["max_length"]
        low, high = source["nodes"]["min"], source["nodes"]["max"]
        edges = source["arms"] * (high - 1)
        sizes = source["sizes"]
        rows.append(
            (
                f"`{task['name']}`",
                str(source["arms"]),
                str(low) if low == high else f"{low}–{high}",
                str(source["plan"]),
                str(source["vocabulary"]),
                f"{2 * edges + 2} / {2 * (high - 1)}",
                f"{max_length['prompt']} / {max_length['answer']}",
                " / ".join(f"{n:,}" for n in sizes.values()),
            )
        )
    header = (
        "task",
        "arms",
        "nodes per arm",
        "plan",
        "node names",
        "prompt / answer tokens, at most",
        "max_length",
        "train / validation / test",
    )
    return markdown(header, rows)


def corpora(_: str) -> str:
    rows = []
    for folder in sorted(TEXTS.iterdir()):
        texts = [(folder / f"{split}.txt").read_text("utf-8") for split in SPLITS]
        counts = Counter("".join(texts))
        bits = entropy(counts.values()) / math.log(2)
        rows.append(
            (
                f"`{folder.name}`",
                " / ".join(f"{len(text):,}" for text in texts),
                str(len(counts)),
                f"{bits:.3f} bits per character",
            )
        )
    header = (
        "corpus",
        "characters: train / validation / test",
        "different characters",
    )
    return markdown((*header, "unigram entropy"), rows)


def hub(_: str) -> str:
    rows = []
    for path in sorted(BUILT_IN.glob("*.yaml")):
        task = fill_defaults(load_yaml(path).data, "task")
        source, max_length, tokenizer = (
            task["source"],
            task["max_length"],
            task["tokenizer"],
        )
        if "hub" not in source:
            continue
        of = source["hub"]
        splits = [
            f"`{of['splits'][split]}`"
            if split in of["splits"]
            else f"{100 * source['shares'][split]:g} % of train"
            for split in ("validation", "test")
        ]
        keys = {
            "lm": ("tokens",),
            "seq2seq": ("prompt", "target"),
            "infill": ("tokens", "given"),
        }[task["layout"]]
        which = [value for value in (of["name"], of["revision"]) if value]
        rows.append(
            (
                f"`{task['name']}`",
                ", ".join(f"`{value}`" for value in (of["path"], *which)),
                ", ".join(f"`{source['columns'][key]}`" for key in keys),
                " / ".join(splits),
                f"{task['layout']}, {' + '.join(map(str, max_length.values()))}"
                + (", packed" if task["packing"] == "packed" else ""),
                f"{tokenizer['kind']} {tokenizer.get('size', '')}".strip(),
                ", ".join(f"`{name}`" for name in task["metrics"]),
            )
        )
    header = ("task", "data set, configuration or revision", "columns")
    more = ("validation / test", "layout, max_length", "tokenizer", "metrics")
    return markdown((*header, *more), rows)


def planted(_: str) -> str:
    folder = DOCS.parent / "tests" / "testing" / "planted"
    rows = [
        (
            entry["about"],
            f"`{path.stem}`",
            f"`{Path(entry['file']).stem}`",
            f"`test_{entry['found_by']}`",
        )
        for path in sorted(folder.glob("*.yaml"))
        for entry in yaml.safe_load(path.read_text("utf-8"))
    ]
    return markdown(("mistake", "kind", "planted in", "found by"), rows)


def families(_: str) -> str:
    return markdown(family_map.HEADER, list(family_map.rows()))


def runtime(name: str) -> str:
    module = importlib.import_module(f"xlmgen.runtime.{name}")
    rows = [
        row for public in module.__all__ for row in _api(public, vars(module)[public])
    ]
    return markdown(("name", "description", "returns"), rows)


def _api(name: str, value: Any) -> Iterator[tuple[str, str, str]]:
    """A function, or a class and those of its public methods that have a docstring."""
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        yield f"`{name}`", f"`{value}`", ""
        return
    protocol = getattr(value, "_is_protocol", False)  # nobody builds one
    yield _entry(name + ("" if protocol else _parameters(value)), value.__doc__)
    for method, member in vars(value).items() if inspect.isclass(value) else ():
        if method == "__call__" or (method == "forward" and issubclass(value, Module)):
            method = "(…)"
        if method.startswith("_") or not member.__doc__:
            continue
        place = name + (method if method == "(…)" else f".{method}")
        if isinstance(member, property):
            yield _entry(place, member.__doc__)
        elif inspect.isfunction(member):
            yield _entry(f"{place}{_parameters(member)}", member.__doc__)


def _entry(name: str, doc: str) -> tuple[str, str, str]:
    """What the first paragraph of a docstring says, and its section `Returns`."""
    summary = doc.split("\n\n")[0].partition("Returns:")[0]
    returns = re.search(r"Returns:\s+(.+?)(?:\n\s*\n|\Z)", doc, re.DOTALL)
    return f"`{name}`", summary, returns[1] if returns else ""


def _parameters(value: Callable[..., Any]) -> str:
    """The parameters of a function or class, without their types."""
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in inspect.signature(value).parameters.values()
        if parameter.name != "self"
    ]
    return str(inspect.Signature(parameters))


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Heads and rows as a Markdown table."""
    if not rows:
        return "None."
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    """A text in which nothing but its `code` is markup."""
    parts = " ".join(text.split()).replace("|", r"\|").split("`")
    parts[::2] = [part.replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)


def _rows(entry: Entry, root: Entry) -> Iterator[tuple[str, str, str, str]]:
    """A key and the keys inside it; those of one kind only say of which."""
    name = f"`{entry.path.removeprefix(f'{root.path}.')}`"
    if entry.kind not in (None, root.kind):
        name += f" ({entry.kind})"
    allowed = entry.allowed
    if name == "`kind`" and len(allowed) == 1:
        return  # the page is about it
    listed = [f"`{value}`" for value in allowed] if len(allowed) > 1 else allowed
    if "default" in entry.schema:
        default = f"`{entry.default}`"
    else:
        default = "required" if entry.required else "–"
    yield name, ", ".join(listed) or entry.type, default, entry.description
    for child in entry.children:
        yield from _rows(child, root)


def _condition(entry: Mapping[str, Any]) -> str:
    words = Clause("", when=entry.get("when", {})).words
    return f" (`{words}`)" if words else ""


def _capabilities(found: Iterable[Clause]) -> str:
    return (
        ", ".join(
            f"`{clause.capability}`" + (f" ({clause.words})" if clause.words else "")
            for clause in found
        )
        or "–"
    )


MAKERS = {
    "codes": codes,
    "pages": pages,
    "options": options,
    "keys": keys,
    "common": common,
    "generated": generated,
    "metrics": metrics,
    "fields": fields,
    "contracts": contracts,
    "proofs": proofs,
    "stars": stars,
    "corpora": corpora,
    "hub": hub,
    "families": families,
    "planted": planted,
    "runtime": runtime,
}


if __name__ == "__main__":
    for file in sorted(DOCS.rglob("*.md")):
        text = file.read_text("utf-8")
        if (new := current(text)) != text:
            file.write_text(new, "utf-8", newline="\n")
            print(file)
