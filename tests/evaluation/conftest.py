"""Project folder with a small text and a family to train on it."""

import numpy as np
import pytest

TEXT = "the cat sat on a mat and a dog ran to the big red house by the sea"


@pytest.fixture
def text_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [" ".join(np.roll(TEXT.split(), n)[: 3 + n % 4]) for n in range(120)]
    (tmp_path / "lines.txt").write_text("\n".join(lines))
    (tmp_path / "words.yaml").write_text(TASK)
    (tmp_path / "run.yaml").write_text(EXPERIMENT)
    return tmp_path


TASK = """\
spec: xlmgen/task/v1
name: words
layout: lm
max_length: {length: 12}
source: {files: {train: lines.txt, validation: lines.txt, test: lines.txt}}
tokenizer: {kind: whitespace}
metrics: [distinct_n, unigram_entropy, length, repetition, novelty]
"""
EXPERIMENT = """\
spec: xlmgen/experiment/v1
name: words
family: arlm
task: ./words.yaml
size: tiny
training: {max_steps: 2, batch_size: 8, accelerator: cpu}
evaluation: {batch_size: 64, generate: 4}
"""
