"""What every code means, with an example and what to do: `xlmgen explain XG104`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """More about a code than its one line.

    Args:
        about: why it is a problem.
        fix: what to do.
        wrong, right: lines of a family's spec with the problem and without it; empty
            where the problem is not in what the lines say.
    """

    about: str
    fix: str
    wrong: str = ""
    right: str = ""


PAGES: dict[str, Page] = {
    "XG001": Page(
        "There is no file at that path, it is a folder, or its rights forbid reading.",
        "Check the path, and the rights of the file.",
    ),
    "XG002": Page(
        "Specs are read as UTF-8 everywhere, so that they mean the same on every "
        "machine.",
        "Save the file as UTF-8; the column is that of the first wrong byte.",
    ),
    "XG003": Page(
        "The text is not YAML: most often a bracket or quote that is not closed, or an "
        "indent that fits no line above.",
        "Look at the line that is named and at the one above it.",
        "loss: {kind: masked, weight: schedule",
        "loss: {kind: masked, weight: schedule}",
    ),
    "XG004": Page(
        "YAML lets the last of two equal keys win without a word. Here it is refused, "
        "because one of the two was not meant.",
        "Remove one of them.",
        "name: mdlm\nname: mine",
        "name: mdlm",
    ),
    "XG005": Page(
        "Keys are words. YAML also allows lists and mappings as keys, which no spec "
        "needs.",
        "Write a word, in quotes where YAML would read something else.",
        "? [name]\n: mdlm",
        "name: mdlm",
    ),
    "XG006": Page(
        "A tag such as `!!python/name` asks the reader to build an object. A spec is "
        "plain data, and nothing in it can make xlmgen run code.",
        "Remove the tag.",
        "name: !mine mdlm",
        "name: mdlm",
    ),
    "XG007": Page(
        "Limits keep a file from taking all time and memory: its size, its depth, how "
        "many values its aliases stand for, how many problems are told of it, and how "
        "long it is compared with the schemas of a project's own kinds.",
        "Write values out, split the file, or begin with the problems that are told.",
    ),
    "XG008": Page(
        "A line `---` begins a second document, which would be read by nobody.",
        "Keep one document per file.",
        "name: mdlm\n---",
        "name: mdlm",
    ),
    "XG009": Page(
        "A spec is a mapping: lines of `key: value`.",
        "Begin with `spec: xlmgen/family/v1`, or copy a family's file.",
    ),
    "XG010": Page(
        "Infinity, NaN and numbers beyond 64 bits would reach the rendered code.",
        "Write a finite number, or null where the key allows it.",
        "dropout: .inf",
        "dropout: 0.1",
    ),
    "XG100": Page(
        "The first line names the format and its version. This xlmgen does not know "
        "that one, or another format is needed here.",
        "Upgrade xlmgen for a newer version, or correct the line.",
        "spec: xlmgen/family/v9",
        "spec: xlmgen/family/v1",
    ),
    "XG101": Page(
        "Unknown keys are never ignored: a misspelt option would silently keep its "
        "default.",
        "Take the key that is suggested; `xlmgen check --fix` does so where only one "
        "can be meant. `xlmgen explain loss` lists a block's keys.",
        "loss: {kind: masked, wieght: schedule}",
        "loss: {kind: masked, weight: schedule}",
    ),
    "XG102": Page(
        "The key has no default, because none would be right for most.",
        "Add it; `xlmgen explain` says what it takes.",
        "loss: {weight: schedule}",
        "loss: {kind: masked, weight: schedule}",
    ),
    "XG103": Page(
        "The value is a text where a number is needed, a number where a list is, and "
        "so "
        "on. Nothing is converted.",
        "Write a value of the type that is named; quotes make a number a text.",
        "steps: many",
        "steps: 128",
    ),
    "XG104": Page(
        "The key takes one of a few values, and this is none of them.",
        "Take the one that is suggested; `xlmgen check --fix` does so where only one "
        "can be meant. `xlmgen explain loss.weight` says what each means.",
        "loss: {kind: masked, weight: schedul}",
        "loss: {kind: masked, weight: schedule}",
    ),
    "XG105": Page(
        "The number, or the length of the list or text, is outside what makes sense.",
        "Write one inside the range that the message gives.",
        "dropout: 1.5",
        "dropout: 0.1",
    ),
    "XG106": Page(
        "The text is used for more than showing, such as a name for a folder and a "
        "Python package, and has to have a form.",
        "Write it in the form that the message describes.",
        "name: My-Family",
        "name: mdlm",
    ),
    "XG107": Page(
        "The family becomes a package of its name. With this one it would be taken for "
        "another package, or could not be imported at all.",
        "Choose another name.",
        "name: json",
        "name: mdlm",
    ),
    "XG108": Page(
        "Each of the two options is fine, but together they contradict one another, or "
        "one would have no effect.",
        "Remove one of them; the message says with what it goes.",
        "order: random, threshold: 0.9",
        "order: random",
    ),
    "XG109": Page(
        "Heads share the width of the stream evenly, an even number each, and "
        "key-value "
        "heads share the query heads.",
        "Change one of the numbers; the message has one that fits.",
        "d_model: 128, layers: 4, heads: 5",
        "d_model: 128, layers: 4, heads: 4",
    ),
    "XG110": Page(
        "A rendered family is imported by the name of its folder, and its files bear "
        "the name in the spec.",
        "Rename the folder or change the name, then render anew.",
    ),
    "XG201": Page(
        "Blocks say what they need and what they provide. Here one needs something "
        "that no other block of the family provides, so that the render could not "
        "work.",
        "Change one of the two; the message names what would provide it.",
        "attention: causal",
        "attention: bidirectional, time: adaln",
    ),
    "XG202": Page(
        "The experiment names a family, a size or a task that is not there, or gives "
        "its predictor an option that it does not have.",
        "Correct the name; `xlmgen list` shows families and tasks.",
    ),
    "XG301": Page(
        "The file is as xlmgen rendered it, but the YAML or the template has changed "
        "since: what runs is not what the YAML says.",
        "Render anew with `xlmgen new`; where files were edited, `xlmgen update` "
        "merges.",
    ),
    "XG302": Page(
        "Somebody changed a rendered file. That is allowed, and never overwritten; in "
        "a "
        "project whose renders are to stay pristine, `--strict` makes it an error.",
        "Keep it, or bring the change into the YAML and restore the file.",
    ),
    "XG303": Page(
        "A file of the render, or all of it, is not there.",
        "Render with `xlmgen new`.",
    ),
    "XG304": Page(
        "The folder belongs to a render, and this file is not part of it: left over "
        "from an earlier one, or put there by hand.",
        "Delete it or move it elsewhere; `experiments/` and `docs/` are yours.",
    ),
    "XG305": Page(
        "The lock tells edited files from stale ones. It is damaged, or something else "
        "wrote it.",
        "Restore it from version control; or delete it and render again, when edited "
        "files are refused as not written by xlmgen.",
    ),
    "XG306": Page(
        "`xlmgen update` left both versions of some lines between markers.",
        "Edit the file until it says what is meant, and remove the markers.",
    ),
    "XG307": Page(
        "A process was killed while it wrote the render. Nothing is lost.",
        "Do what the message says; the next write puts things in order first.",
    ),
    "XG401": Page(
        "A kind of the project's own is a JSON Schema of its options with the keywords "
        "of docs/spec.md. With this one, specs could not be checked, or the check "
        "would mean little.",
        "Mend the schema at the line that is named; docs/own-kinds.md has one whole.",
    ),
    "XG402": Page(
        "Beside its schema a kind has a Jinja template, which prints a Python file. "
        "Here it is not there, cannot be read, or fails for this family.",
        "Mend the template at the line that is named. It knows the names that "
        "docs/own-kinds.md lists.",
    ),
    "XG403": Page(
        "A spec must mean the same in every project: a kind of a project's own stands "
        "beside those that ship, and never in the place of one. The same holds for the "
        "templates that all families share.",
        "Give the file another name, and its kind the same.",
    ),
    "XG404": Page(
        "No problem, but worth a look where somebody else's change is read: what this "
        "block renders to is printed by a template of the project.",
        "Read the schema and the template that are named.",
    ),
    "XG405": Page(
        "No problem, but worth a look where somebody else's change is read: this "
        "function is run, with your rights, by all that makes or scores the task's "
        "examples: prepare, data, train, eval. The check itself imports nothing.",
        "Read the file that is named, and what it imports.",
    ),
    "XG406": Page(
        '`python: "my_tasks.sorting:example"` is the function `example` of the file '
        "my_tasks/sorting.py, in the folder of the YAML file, one above it, or the "
        "current one. Installed packages are not looked at.",
        "Write the file, or mend the name. A run without it can be looked at, and "
        "neither trained nor evaluated.",
    ),
}
