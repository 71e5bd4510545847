"""Explanations of diagnostic codes, for `xlmgen explain XG104`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """Explanation of a code.

    Args:
        about: why it is a problem.
        fix: what to do.
        wrong, right: lines of a family's spec with and without the problem; empty if
            the problem cannot be shown in a spec.
    """

    about: str
    fix: str
    wrong: str = ""
    right: str = ""


PAGES: dict[str, Page] = {
    "XG001": Page(
        "The path does not exist, is a folder, or you have no permission to read it.",
        "Check the path and the permissions of the file.",
    ),
    "XG002": Page(
        "Specs are read as UTF-8 everywhere, so that they mean the same on every "
        "machine.",
        "Save the file as UTF-8; the column is that of the first invalid byte.",
    ),
    "XG003": Page(
        "The text is not valid YAML. Common causes are an unclosed bracket or quote "
        "and an indentation that matches no line above.",
        "Check the reported line and the one above it.",
        "loss: {kind: masked, weight: schedule",
        "loss: {kind: masked, weight: schedule}",
    ),
    "XG004": Page(
        "Most YAML readers silently keep the last of two equal keys. xlmgen refuses "
        "them, because one of the two is a mistake.",
        "Remove one of them.",
        "name: mdlm\nname: mine",
        "name: mdlm",
    ),
    "XG005": Page(
        "Keys must be strings. YAML also allows lists and mappings as keys, which no "
        "spec needs.",
        "Write a string, in quotes if YAML would read another type.",
        "? [name]\n: mdlm",
        "name: mdlm",
    ),
    "XG006": Page(
        "A tag such as `!!python/name` tells the reader to construct an object. A spec "
        "is plain data and cannot make xlmgen run code.",
        "Remove the tag.",
        "name: !mine mdlm",
        "name: mdlm",
    ),
    "XG007": Page(
        "Limits keep a file from exhausting time and memory: its size, its depth, the "
        "number of values its aliases expand to, the number of problems reported, and "
        "the time for validating it against a project's own schemas.",
        "Write values out, split the file, or fix the reported problems first.",
    ),
    "XG008": Page(
        "A line `---` starts a second document, which would be ignored.",
        "Keep one document per file.",
        "name: mdlm\n---",
        "name: mdlm",
    ),
    "XG009": Page(
        "A spec is a mapping: lines of `key: value`.",
        "Start with `spec: xlmgen/family/v1`, or copy a family's file.",
    ),
    "XG010": Page(
        "Infinity, NaN and numbers beyond 64 bits would end up in the rendered code.",
        "Write a finite number, or null where the key allows it.",
        "dropout: .inf",
        "dropout: 0.1",
    ),
    "XG100": Page(
        "The `spec:` line names the format and its version. This version of xlmgen "
        "does not know it, or another format is needed here.",
        "Upgrade xlmgen for a newer version, or correct the line.",
        "spec: xlmgen/family/v9",
        "spec: xlmgen/family/v1",
    ),
    "XG101": Page(
        "Unknown keys are never ignored: a misspelt option would silently keep its "
        "default.",
        "Use the suggested key; `xlmgen check --fix` does so if there is only one "
        "candidate. `xlmgen explain loss` lists the keys of a component.",
        "loss: {kind: masked, wieght: schedule}",
        "loss: {kind: masked, weight: schedule}",
    ),
    "XG102": Page(
        "The key has no default, because no value would suit most specs.",
        "Add it; `xlmgen explain` shows the allowed values.",
        "loss: {weight: schedule}",
        "loss: {kind: masked, weight: schedule}",
    ),
    "XG103": Page(
        "The value has another type than the key needs, such as a string instead of a "
        "number. Values are not converted.",
        "Write a value of the type in the message. Quotes turn a number into a string.",
        "steps: many",
        "steps: 128",
    ),
    "XG104": Page(
        "The key allows a fixed list of values, and this is not one of them.",
        "Use the suggested value; `xlmgen check --fix` does so if there is only one "
        "candidate. `xlmgen explain loss.weight` explains the values.",
        "loss: {kind: masked, weight: schedul}",
        "loss: {kind: masked, weight: schedule}",
    ),
    "XG105": Page(
        "The number, or the length of the list or string, is out of range.",
        "Write a value in the range that the message gives.",
        "dropout: 1.5",
        "dropout: 0.1",
    ),
    "XG106": Page(
        "The string must have a certain form, because it is used, for example, as the "
        "name of a folder and a Python package.",
        "Write it in the form that the message describes.",
        "name: My-Family",
        "name: mdlm",
    ),
    "XG107": Page(
        "A family is rendered into a Python package of its name. A package of this "
        "name would be confused with another one, or could not be imported.",
        "Choose another name.",
        "name: json",
        "name: mdlm",
    ),
    "XG108": Page(
        "The two options contradict each other, or one of them would have no effect.",
        "Remove one of them; the message says what the option needs.",
        "order: random, threshold: 0.9",
        "order: random",
    ),
    "XG109": Page(
        "The hidden width is divided evenly among the heads, with an even number for "
        "each, and the query heads are divided evenly among the key-value heads.",
        "Change one of the numbers; the message suggests one.",
        "d_model: 128, layers: 4, num_heads: 5",
        "d_model: 128, layers: 4, num_heads: 4",
    ),
    "XG110": Page(
        "A rendered family is imported by the name of its folder, and its files are "
        "named by the name in the spec.",
        "Rename the folder or change the name, then render again.",
    ),
    "XG201": Page(
        "Components declare what they need and what they provide. This component needs "
        "something that no component of the family provides, so the render would not "
        "work.",
        "Change one of the components; the message names the kinds that provide it.",
        "attention: causal",
        "attention: bidirectional, time: adaln",
    ),
    "XG202": Page(
        "The experiment names a family, size or task that does not exist, or an option "
        "that the predictor does not have.",
        "Correct the name; `xlmgen list` shows families and tasks.",
    ),
    "XG301": Page(
        "The YAML or the template has changed since the file was rendered, so the code "
        "does not match the YAML.",
        "Render again with `xlmgen new`; if files were edited, `xlmgen update` merges.",
    ),
    "XG302": Page(
        "A rendered file was changed by hand. This is allowed, and edits are never "
        "overwritten. In a project without edited renders, `--strict` makes it an "
        "error.",
        "Keep the edit, or make the change in the YAML and restore the file.",
    ),
    "XG303": Page(
        "A file of the render, or the complete render, is missing.",
        "Render with `xlmgen new`.",
    ),
    "XG304": Page(
        "The file is in the folder of a render but is not part of it: it is left over "
        "from an earlier render or was added by hand.",
        "Delete it or move it elsewhere; only `experiments/` and `docs/` are for files "
        "of your own.",
    ),
    "XG305": Page(
        "The lock distinguishes edited files from stale ones. It is damaged or was not "
        "written by xlmgen.",
        "Restore it from version control. If you delete it and render again, edited "
        "files are refused as not written by xlmgen.",
    ),
    "XG306": Page(
        "`xlmgen update` left both versions of some lines between conflict markers.",
        "Edit the conflicting lines and remove the markers.",
    ),
    "XG307": Page(
        "A process was killed while it wrote the render. Nothing is lost.",
        "Run the command in the message; it first restores the previous state.",
    ),
    "XG401": Page(
        "The schema of a project's own kind is a JSON Schema of its options with the "
        "keywords of docs/spec.md. Specs cannot be validated with this one.",
        "Fix the schema at the reported line; docs/own-kinds.md has an example.",
    ),
    "XG402": Page(
        "A kind needs a Jinja template that prints a Python file. The template is "
        "missing, cannot be read, or fails for this family.",
        "Fix the template at the reported line. docs/own-kinds.md lists the names that "
        "it can use.",
    ),
    "XG403": Page(
        "A spec must mean the same in every project, so a project's own kind must not "
        "replace a built-in kind, nor a template that all families share.",
        "Rename the file and its kind.",
    ),
    "XG404": Page(
        "Informational, for reviews of other people's changes: a template of the "
        "project renders this component.",
        "Review the schema and the template.",
    ),
    "XG405": Page(
        "Informational, for reviews of other people's changes: the commands that "
        "generate or score examples of the task (prepare, data, train, eval) run this "
        "function with your permissions. The check imports nothing.",
        "Review the file and its imports.",
    ),
    "XG406": Page(
        '`python: "my_tasks.sorting:example"` is the function `example` of the file '
        "my_tasks/sorting.py in the folder of the YAML file, a folder above it, or the "
        "current folder. Installed packages are not searched.",
        "Write the file or correct the name. A run without it can be inspected, but "
        "not trained or evaluated.",
    ),
    "XG407": Page(
        "A loss whose schema says that it gives the exact likelihood or a bound is "
        "compared with others by it, so rendered tests must prove it. The kit has "
        "suites for some objectives only.",
        "Provide the objective that the loss has, or list a suite of your own under "
        '`x-tests`, or write {"gives": "none", …} under `x-likelihood`.',
    ),
}
