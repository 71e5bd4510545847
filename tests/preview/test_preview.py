"""`xlmgen data` shows the training batch, place by place."""

import io
import json
import re
from itertools import pairwise

import pytest
import torch
from rich.console import Console

from xlmgen import resources
from xlmgen.cli import main
from xlmgen.data.datamodule import DataModule
from xlmgen.experiment import resolve
from xlmgen.preview.places import Kind
from xlmgen.preview.preview import preview, to_data
from xlmgen.preview.show import show
from xlmgen.registry import load_family
from xlmgen.runtime.special_tokens import SPECIAL_TOKENS

SHIPPED = resources.root() / "families"
FAMILIES = sorted(path.parent.name for path in SHIPPED.glob("*/family.yaml"))
WORDS = ["the", "cat", "sat", "on", "a", "mat", "<3>", "(x)"]
TEXT = """\
spec: xlmgen/task/v1
name: words
layout: lm
max_length: {length: 12}
source: {files: {train: "*.txt"}}
tokenizer: {kind: vocabulary, tokens: [the, cat, sat, on, a, mat, "<3>", (x)]}
overflow: drop
"""
SETTINGS = ["training.batch_size=6", "training.seed=5", "training.max_steps=50"]
INDEX = 3
ANSI = re.compile(r"\x1b\[[0-9;]*m")
LINE = re.compile(r"  (clean|input|target|t|place|next)( +)\S.*")


@pytest.fixture
def words(tmp_path, monkeypatch):
    """A folder with a task of distinct short texts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XLMGEN_PINNED", "")
    (tmp_path / "words.yaml").write_text(TEXT, "utf-8")
    texts = {
        " ".join(WORDS[(i * 5 + j * j * i) % 8] for j in range(2 + i % 12))
        for i in range(120)
    }
    (tmp_path / "words.txt").write_text("\n".join(sorted(texts)), "utf-8")
    return tmp_path


TASKS = {
    "star_tiny": [str(number) for number in range(10)],
    "./words.yaml": WORDS,
}


def previewed(family, task, *overrides, **options):
    file = SHIPPED / family / "experiments" / "star_tiny.yaml"
    experiment = resolve(file, [*SETTINGS, f"task={task}", *overrides])
    return preview(experiment, **{"num": 6, "batch": INDEX, **options})


def shown(found, **options):
    out = io.StringIO()
    show(found, Console(file=out, width=79, highlight=False, **options))
    return out.getvalue()


def drawn_rows(text):
    """Printed columns of every row, as dicts of their lines."""
    rows, above = [], None
    for line in text.partition("\nkeys of the batch")[0].splitlines():
        match = LINE.fullmatch(line)
        if line.startswith("row ") and "example" in line:
            rows.append([])
        elif rows and match:
            label = match[1]
            if label == "clean" or (label == "input" and above != "clean"):
                starts = {}  # the lines of another part begin
            for cell in re.finditer(r"\S+", line[match.start(2) :]):
                at = match.start(2) + cell.start()
                if at not in starts:
                    assert label in ("clean", "input"), f"nothing above {cell[0]}"
                    starts[at] = {}
                    rows[-1].append(starts[at])
                starts[at][label] = cell[0]
            above = label
    return rows


def expected_rows(batch, names):
    """Expected columns, from the keys of a batch by flat position."""
    ids = batch["input_ids"]
    height, width = ids.shape
    clean = batch.get("clean_ids")
    context = 0 if clean is None else clean.shape[1] - width
    targets = {}
    for key in ("masked_positions", "noised_positions", "scored_positions"):
        for flat in batch.get(key, torch.empty(0)).tolist():
            row, column = flat // width, flat % width
            if clean is None:
                targets[flat] = names[batch["target_ids"][row][column]]
            else:
                targets[flat] = names[clean[row][context + column]]
    behind = {}
    if "slot_positions" in batch:
        for flat in batch["slot_positions"].tolist():
            behind[flat] = []
        for slot, id_ in zip(
            batch["target_slot"].tolist(), batch["target_ids"].tolist(), strict=True
        ):
            behind[batch["slot_positions"].tolist()[slot]].append(("_", names[id_]))
        behind = {flat: cells or [("·", None)] for flat, cells in behind.items()}
    if "insertable" in batch:
        counts = batch["missing"].flatten().tolist()
        for flat, free in enumerate(batch["insertable"].flatten().tolist()):
            if free:
                many = counts[flat]
                behind[flat] = [(f"+{many}" if many else "·", None)]
    rows = []
    for row in range(height):
        cells = [
            (None, None, names[id_])
            for id_ in (clean[row][:context] if context else [])
        ]
        for column in range(width):
            flat = row * width + column
            copy = None if clean is None else names[clean[row][context + column]]
            cells.append((names[ids[row][column]], targets.get(flat), copy))
            cells += [(*cell, None) for cell in behind.get(flat, [])]
        rows.append(cells)
    return rows


def plain(columns, names):
    """Printed columns without marks, with expanded runs of padding."""
    cells = []
    for column in columns:
        one, many = {}, 1
        for line, text in column.items():
            if padding := re.fullmatch(r"\((\[PAD\])(?:×(\d+))?\)", text):
                text, many = padding[1], int(padding[2] or 1)
            text = text.strip("⟨⟩")
            if text[0] + text[-1] == "[]" and text[1:-1] in (names or {}).values():
                text = text[1:-1]  # the mark of a random token
            if line in ("input", "target", "clean"):
                one[line] = text
        cells += [(one.get("input"), one.get("target"), one.get("clean"))] * many
    return cells


def in_place(columns, following):
    """Inputs and the last target, sorted by the positions printed below them."""
    places = {int(column["place"].strip("⟨⟩")): column["input"] for column in columns}
    for before, after in pairwise(columns):
        if "target" in before:
            assert (before["next"], before["target"]) == (
                after["place"],
                after["input"],
            )
    if "target" in columns[-1]:
        assert columns[-1]["next"] == str(int(following[-1]))
        places[int(following[-1])] = columns[-1]["target"]
    return [places[place].strip("⟨⟩") for place in sorted(places)]


class Names(dict):
    """Text of every id, from the task's YAML."""

    def __init__(self, words):
        super().__init__(enumerate([*SPECIAL_TOKENS, *words]))

    def __getitem__(self, id_):
        return super().__getitem__(int(id_))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_printed_batch_equals_training_batch(words, family, task):
    found = previewed(family, task)
    data = DataModule(
        found.task, load_family(family), batch_size=6, eval_batch_size=4, seed=5
    )
    data.start_batch = INDEX
    batch = next(iter(data.train_dataloader()))
    assert found.batch.data.keys() == batch.keys()
    for key, value in batch.items():
        same = found.batch.data[key]
        assert torch.equal(same, value) if torch.is_tensor(value) else same == value

    names = Names(TASKS[task])
    rows = [plain(columns, names) for columns in drawn_rows(shown(found))]
    assert rows == expected_rows(batch, names)
    assert any(target for row in rows for _, target, _ in row)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_row_with_targets_filled_in_equals_its_example(words, family, task):
    """Compared with the task itself, independent of the interpretation of keys."""
    found = previewed(family, task)
    examples = found.task.examples("train")
    special = set(SPECIAL_TOKENS)
    for row, columns in enumerate(drawn_rows(shown(found))):
        example = examples[found.batch.rows[row]]
        cells = plain(columns, None)
        if "next_position_ids" in found.batch.data:
            filled = in_place(columns, found.batch.data["next_position_ids"][row])
        elif "scored_positions" in found.batch.data:  # the next token is below each
            follows = [after for after, _, _ in cells[1:]]
            pairs = zip([target for _, target, _ in cells], follows, strict=False)
            assert all(target == after for target, after in pairs if target)
            cells = [*cells, (cells[-1][1], None, None)]
            filled = [there for there, _, _ in cells]
        else:
            filled = [target or there or clean for there, target, clean in cells]
        said = [word for word in filled if word and word not in special | {"·"}]
        parts = [
            example[key] for key in ("prompt", "target", "tokens") if key in example
        ]
        true = [w for part in parts for w in found.task.decode(part).split()]
        missing = sum(int(w[1:]) for w in said if re.fullmatch(r"\+\d+", w))
        said = [word for word in said if not re.fullmatch(r"\+\d+", word)]
        assert len(said) + missing == len(true)
        if not missing:
            assert said == true
        rest = iter(true)
        assert all(word in rest for word in said), "an order of its own"


def test_places_have_expected_kinds(words):
    """The prompt is given, `masked_positions` are hidden, the rest is seen."""
    found = previewed("mdlm", "star_tiny")
    hidden = []
    for row in range(6):
        places = found.places(row)
        assert [p.kind for p in places[:10]] == [Kind.given] * 10
        hidden += [row * 15 + p.column for p in places if p.kind is Kind.hidden]
        others = {p.kind for p in places[10:]}
        assert others <= {Kind.seen, Kind.hidden, Kind.special}
    assert hidden == found.batch.data["masked_positions"].tolist() != []


def test_place_after_scored_position_is_of_the_answer(words):
    kinds = [place.kind for place in previewed("arlm", "star_tiny").places(0)]
    assert kinds == [Kind.given] * 10 + [Kind.special] + [Kind.seen] * 4


def test_legend_for_places_before_holes_names_both_meanings(words):
    assert "or given before a hole" in shown(previewed("ilm", "sudoku_tiny"))
    assert "or given before a hole" not in shown(previewed("mdlm", "sudoku_tiny"))


@pytest.mark.parametrize("packing", ["packed", "documents"])
def test_packed_examples_show_document_ends(words, packing):
    packed = (words / "words.yaml").read_text("utf-8").replace("drop", "error")
    (words / "packed.yaml").write_text(packed + f"packing: {packing}\n", "utf-8")
    found = previewed("arlm", "./packed.yaml")
    ids = found.task.examples("train")[0]["tokens"].tolist()
    names = Names(WORDS)
    text = found.examples[0]["tokens"]
    for name in SPECIAL_TOKENS:
        text = text.replace(name, f" {name} ")
    assert text.split() == [names[id_] for id_ in ids]
    assert "[EOS]" in text
    assert all(key["drawn"] for key in found.keys)


PAGE = resources.root() / "docs" / "tasks.md"


def test_documented_output_is_current(monkeypatch, capsys):
    monkeypatch.chdir(resources.root())
    monkeypatch.setenv("XLMGEN_PINNED", "")
    monkeypatch.setenv("COLUMNS", "80")
    section = PAGE.read_text("utf-8").split("\n## What the model will see\n")[1]
    ran = 0
    for block in re.findall(r"^```\n(.*?)^```$", section, re.M | re.S):
        command, _, output = block.partition("\n")
        if command.startswith("$ xlmgen data "):
            assert main(command.split()[2:]) == 0
            said, ran = capsys.readouterr().out, ran + 1
            for part in re.split(r"^…\n", output, flags=re.M):
                assert part in said
    assert ran == 2


def test_padding_is_shown_once_with_its_count(words):
    found = previewed("ilm", "./words.yaml")
    mask = found.batch.data["attention_mask"]
    share = 1 - mask.float().mean().item()
    assert found.numbers["padding"] == pytest.approx(share)
    text = shown(found)
    pads = (~mask).sum(1).tolist()
    for row, count in enumerate(pads):
        many = f"([PAD]×{count})" if count > 1 else "([PAD])" * count
        part = text.split(f"\nrow {row} ")[1].split("\n\n")[0]
        assert part.count("[PAD]") == bool(count)
        assert many in part
    assert f"{100 * share:.1f} %" in text


def test_numbers_are_of_the_complete_batch(words):
    found = previewed("mdlm", "./words.yaml", num=1)
    batch = found.batch.data
    said = found.numbers
    masked, answer = len(batch["masked_positions"]), int(batch["maskable"].sum())
    assert said["masked"] == pytest.approx(masked / batch["input_ids"].numel())
    assert said["masked_of_answer"] == pytest.approx(masked / answer)
    pads = int((batch["target_ids"] == 0).sum())
    assert said["pads_of_answer"] == pytest.approx(pads / answer)
    assert pads
    assert said["t_mean"] == pytest.approx(batch["t"].mean().item())
    dropped = previewed("ilm", "./words.yaml", num=1)
    batch = dropped.batch.data
    assert dropped.numbers["missing"] == len(batch["target_ids"])
    whole = int(batch["answer_length"].sum())
    share = dropped.numbers["missing"] / whole
    assert dropped.numbers["missing_of_answer"] == pytest.approx(share)


def test_colour_does_not_change_the_text(words, monkeypatch):
    found = previewed("flexmdm", "star_tiny")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    terminal = {"force_terminal": True, "color_system": "standard"}
    coloured, bare = shown(found, **terminal), shown(found)
    assert ANSI.sub("", coloured) == bare
    assert "\x1b" not in bare
    colours = {
        mark: re.search(rf"\x1b\[([0-9;]+)m{re.escape(mark)}\x1b", coloured)[1]
        for mark in ("⟨given⟩", "[hidden]", "special", "(padding)", "+n", "·", "target")
    }
    assert len(set(colours.values())) == len(colours)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", shown(found, **terminal))


def test_long_rows_fit_the_width(words):
    for line in shown(previewed("mdlm", "./words.yaml")).splitlines():
        assert len(line) <= 79 or line.startswith(("experiment", "task", "tokenizer"))


def test_evaluation_preview_has_batches_of_its_split(words):
    found = previewed("mdlm", "star_tiny", "evaluation.batch_size=40", split="test")
    assert found.batch.step is None
    assert found.batch.rows == tuple(range(120, 160))
    data = DataModule(
        found.task, load_family("mdlm"), batch_size=1, eval_batch_size=40, seed=1
    )
    batch = list(data.test_dataloader())[INDEX]
    assert torch.equal(batch["masked_positions"], found.batch.data["masked_positions"])


def test_ranks_have_different_rows(words):
    several = ("training.devices=2", "training.accumulate=2")
    first, second = (
        previewed("mdlm", "star_tiny", *several, rank=rank) for rank in (0, 1)
    )
    assert not set(first.batch.rows) & set(second.batch.rows)
    assert first.batch.step == second.batch.step == 2
    alone = previewed("mdlm", "star_tiny", "training.batch_size=12")
    assert alone.batch.rows == first.batch.rows + second.batch.rows


def test_json_has_every_id(words, capsys):
    file = SHIPPED / "bd3lm" / "experiments" / "star_tiny.yaml"
    before = set(words.rglob("*"))
    arguments = [str(file), *SETTINGS, "--num", "2", "--batch", str(INDEX)]
    assert main(["data", *arguments, "--row", "7", "--format", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert set(words.rglob("*")) == before
    found = previewed("bd3lm", "star_tiny", num=2, row=7)
    assert said == json.loads(json.dumps(to_data(found)))
    batch = found.batch.data
    for row, data in enumerate(said["batch"]["rows"]):
        assert data["example"] == found.batch.rows[row]
        clean = [place["clean"] for place in data["places"]]
        assert clean == batch["clean_ids"][row].tolist()
        noisy = [place for place in data["places"] if "column" in place]
        assert [place["input"] for place in noisy] == batch["input_ids"][row].tolist()
        assert [place["t"] for place in noisy] == batch["t"][row].tolist()
    keys = {found["key"]: found for found in said["batch"]["keys"]}
    assert keys["t"] == {"key": "t", "shape": [6, 5], "dtype": "float32", "drawn": True}
    assert keys["block_size"]["value"] == 4
    assert [example["row"] for example in said["examples"]] == [7, 8]
    star = found.task.examples("train")[7]
    assert said["examples"][0]["prompt"] == found.task.decode(star["prompt"])
    assert said["splits"]["test"]["tokens"] == 14000
    assert said["tokenizer"]["special"]["mask"] == {"id": 3, "token": "[MASK]"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "trian"], "Did you mean 'train'?"),
        (["--row", "200"], "--row 200: there are 200 examples in train"),
        (["--split", "test", "--row", "41"], "there are 41 examples in test"),
        (["--batch", "12"], "there are 12 training batches"),
        (["--split", "test", "--batch", "3"], "there are 3 batches in test"),
        (["--rank", "1"], "--rank 1: training.devices × training.num_nodes is 1"),
        (["--split", "test", "--rank", "1"], "leave out --rank"),
        (["--num", "0"], "--num"),
        (["--format", "jsn"], "Did you mean 'json'?"),
        (["training.sed=1"], "did you mean 'seed'?"),
        (["task=star_tny"], "did you mean 'star_tiny'?"),
        (["task=cfg_tiny"], "no collator"),
    ],
)
def test_mistake_is_one_line(project, capsys, arguments, message):
    assert main(["data", "toy.yaml", *arguments]) in (1, 2)
    out, err = capsys.readouterr()
    assert message in err
    assert "Traceback" not in err
    assert out == ""
