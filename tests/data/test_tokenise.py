"""Tokenisation in shards: resumable and with bounded memory."""

import subprocess
import sys
import textwrap

import pytest

from xlmgen.data import tokenise
from xlmgen.data.task import load_task
from xlmgen.data.tokenizer import Tokenizer

TASK = """\
spec: xlmgen/task/v1
name: some
layout: lm
max_length: {length: 900}
source: {files: {train: "*.txt"}, shares: {test: 0.2}}
tokenizer: {kind: byte}
"""
SPLITS = ("train", "validation", "test")


@pytest.fixture
def small_shards(tmp_path, monkeypatch):
    """Three files of 100 lines each, in shards of about ten lines."""
    monkeypatch.setattr(tokenise, "SHARD_CHARACTERS", 300)
    monkeypatch.setattr(tokenise, "CHARACTERS_AT_ONCE", 100)
    for name in "abc":
        lines = (f"{name} {i * i} {'x' * (i % 50)}" for i in range(100))
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
    (tmp_path / "some.yaml").write_text(TASK)
    return tmp_path


def prepared(folder, monkeypatch, cache):
    """All rows of all splits as text, from a cache with this name."""
    monkeypatch.setenv("XLMGEN_CACHE", str(folder / cache))
    task = load_task(folder / "some.yaml")
    texts = {s: [task.decode(e["tokens"]) for e in task.examples(s)] for s in SPLITS}
    assert {s: task.summary(s).documents for s in SPLITS} == {
        s: len(texts[s]) for s in SPLITS
    }
    return texts


class Encoder:
    """A `Tokenizer.encode_all` that counts texts and fails at some call."""

    def __init__(self, monkeypatch, stop_at=None):
        self.calls, self.texts = 0, []
        encode = Tokenizer.encode_all

        def counted(tokenizer, texts, place):
            self.calls += 1
            if self.calls == stop_at:
                raise KeyboardInterrupt
            self.texts += texts
            return encode(tokenizer, texts, place)

        monkeypatch.setattr(Tokenizer, "encode_all", counted)


def test_interrupted_build_resumes(small_shards, monkeypatch):
    whole = prepared(small_shards, monkeypatch, "whole")
    assert sum(map(len, whole.values())) == 300
    lines = "".join((small_shards / f"{c}.txt").read_text() + "\n" for c in "abc")
    assert sorted(t for part in whole.values() for t in part) == sorted(
        lines.split("\n")[:-1]
    )

    with monkeypatch.context() as patch:
        Encoder(patch, stop_at=60)
        with pytest.raises(KeyboardInterrupt):
            prepared(small_shards, monkeypatch, "stopped")
    (draft,) = (small_shards / "stopped").glob(".draft-*")
    done = sorted(p.name for p in (draft / "shards").iterdir() if p.name != "part")
    assert len(done) > 10

    # A changed shard and all later shards are built again.
    damaged = draft / "shards" / done[8] / "train.tokens.ids.npy"
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    with monkeypatch.context() as patch:
        encoder = Encoder(patch)
        assert prepared(small_shards, monkeypatch, "stopped") == whole
    assert 150 < len(encoder.texts) < 280
    assert encoder.texts[-1].startswith("c 9801")
    assert not list((small_shards / "stopped").glob(".*"))


def test_places_of_rows_are_kept_across_shards(small_shards, monkeypatch):
    monkeypatch.setenv("XLMGEN_CACHE", str(small_shards / "places"))
    task = load_task(small_shards / "some.yaml")
    for row, example in enumerate(task.examples("test")):
        name, number, *_ = task.decode(example["tokens"]).split(" ")
        line = round(int(number) ** 0.5) + 1
        place = task.corpus.place(*task.prepared._place("test", row))
        assert place == f"{small_shards / name}.txt:{line}"


@pytest.mark.slow
def test_memory_is_independent_of_corpus_size(tmp_path):
    """Ids in memory would take at least one byte per character of the corpus."""
    script = textwrap.dedent("""
        import os, resource, sys
        os.environ["XLMGEN_CACHE"] = sys.argv[1] + ".cache"
        from xlmgen.data.task import load_task
        task = load_task(sys.argv[1] + "/some.yaml")
        assert len(task.examples("train")) > 100
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    """)
    peaks = []
    for name, lines in (("small", 3_000), ("large", 15_000)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "some.yaml").write_text(TASK)
        with (folder / "a.txt").open("w") as file:
            file.writelines(f"{i} {'word ' * 150}\n" for i in range(lines))
        done = subprocess.run(
            [sys.executable, "-c", script, str(folder)],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout) << 10)
    more_characters = 12_000 * 750
    assert peaks[1] - peaks[0] < more_characters / 2, peaks
