"""Histograms of lengths: all rows counted, and the maximum length between two bins."""

import io

import numpy as np
import pytest
from rich.console import Console

from xlmgen.data.lengths import measure
from xlmgen.data.task import load_task
from xlmgen.preview.histogram import MOST, histogram, show_histogram

RNG = np.random.default_rng(0)
CASES = {
    "alike": (np.full(9, 10), 10),
    "one": (np.array([5]), 100),
    "short": (RNG.integers(0, 7, 50), 30),
    "around": (RNG.integers(20, 90, 300), 50),
    "long tail": (np.append(RNG.integers(1, 40, 200), [5000, 100000]), 30),
    "all too long": (RNG.integers(400, 700, 60), 100),
}


@pytest.mark.parametrize(("lengths", "limit"), CASES.values(), ids=CASES)
def test_every_length_is_counted_in_its_bin(lengths, limit):
    found = histogram(lengths, limit)
    for bin_ in found.bins:
        high = np.inf if bin_.high is None else bin_.high
        assert bin_.count == ((lengths >= bin_.low) & (lengths <= high)).sum()
        assert not bin_.low <= limit < high or bin_.high == limit
    assert sum(bin_.count for bin_ in found.bins) == len(lengths)
    assert len(found.bins) <= MOST + 1
    assert (found.min, found.max) == (lengths.min(), lengths.max())
    assert found.median == np.median(lengths)
    assert found.over == (lengths > limit).sum()


def lines(lengths, limit, width=60):
    out = io.StringIO()
    found = histogram(np.array(lengths), limit)
    show_histogram(Console(file=out, width=width), "tokens", found, "the end")
    return out.getvalue().splitlines()


def test_limit_is_between_bins():
    head, *bars = lines([1, 1, 2, 3, 3, 3, 4], 2)
    assert head == "tokens  min 1  median 3  max 4"
    assert [bar.split()[0] for bar in bars] == ["1", "2", "2", "3", "4"]
    assert bars[2].split(maxsplit=2)[2] == "the end; 4 longer"
    assert lines([1, 2], 5)[-1].split(maxsplit=2)[2] == "the end"


def test_bars_are_proportional_and_fill_the_width():
    bars = lines([1] * 40 + [2] * 20 + [3], 3)[1:4]
    full = [bar.count("█") for bar in bars]
    assert full[0] > 30
    assert abs(full[1] - full[0] / 2) <= 1
    assert full[2] in (0, 1)
    assert bars[2].split()[1][0] in "▏▎▍▌▋▊▉█"
    assert max(map(len, bars)) == 60


TASK = """\
spec: xlmgen/task/v1
name: letters
layout: lm
max_length: {length: 8}
source: {{files: {{train: a.txt, validation: b.txt, test: b.txt}}}}
tokenizer: {{kind: character}}
overflow: {overflow}
packing: {packing}
""".replace("{length: 8}", "{{length: 8}}")


@pytest.mark.parametrize(
    ("overflow", "packing", "expected"),
    [
        ("drop", "none", (3, 10, 2, 0)),  # 1 + 3 + 6
        ("truncate", "none", (5, 22, 0, 2)),  # 1 + 3 + 6 + 6 + 6
        ("error", "packed", (5, 29, 0, 0)),  # 29 letters and 5 EOS, 7 to a row
        ("error", "documents", (6, 29, 0, 0)),  # and 4 BOS
    ],
)
def test_lengths_report_dropped_and_truncated_rows(
    tmp_path, overflow, packing, expected
):
    rows = ["a" * count for count in (1, 3, 6, 7, 12)]
    (tmp_path / "a.txt").write_text("\n".join(rows), "utf-8")
    (tmp_path / "b.txt").write_text("a\n", "utf-8")
    text = TASK.format(overflow=overflow, packing=packing)
    (tmp_path / "letters.yaml").write_text(text, "utf-8")
    found = measure(load_task(tmp_path / "letters.yaml"), "train")
    said = (found.examples, found.tokens, found.dropped, found.truncated)
    assert said == expected
    assert found.parts["tokens"].tolist() == [1, 3, 6, 7, 12]
    assert found.limits["tokens"] == (6 if packing == "none" else 7)
