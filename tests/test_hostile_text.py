"""Hostile text in every source, and the output of every command: text stays text."""

import json
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from xlmgen.cli import main
from xlmgen.terminal.escape import terminal_lines

EVIL = (
    "e\x1b[31mv\x1b]0;t\x07\r\n::error::i\u202el\n"
    "## H\n[l](https://evil.example/) ##[error]x"
)
NAME = EVIL.replace("/", "").replace("\r", "")  # of a file
QUOTED = json.dumps(EVIL)  # in YAML


@pytest.fixture
def said(capsys, monkeypatch):
    """Run a command: its exit code and its output, in which nothing is raw."""

    def run(*words, markdown=False):
        monkeypatch.setenv("XLMGEN_PINNED", "")  # as in a process of its own
        capsys.readouterr()
        code = main([str(word) for word in words])
        output = "".join(capsys.readouterr())
        assert "Traceback" not in output
        for line in output.split("\n"):
            is_ours = line.startswith(("::error ", "::warning ", "::notice "))
            assert terminal_lines(line) == line or is_ours, (words, line)
            assert "\x1b" not in line
        if markdown:
            assert "\n## H" not in output
            assert "](https://evil" not in output
        return code, output

    return run


@pytest.fixture
def hostile(project):
    """The project of a stranger: names, titles and rows hold what nobody wrote."""
    rows = [{"prompt": f"{n} {EVIL}", "target": f"{n} {EVIL}"} for n in range(8)]
    data = "".join(json.dumps(row) + "\n" for row in rows)
    for split in ("train", "validation", "test"):
        Path(f"{split}{NAME}.jsonl").write_text(data)
    files = {
        split: f"{split}{NAME}.jsonl".replace("[", "[[]")
        for split in ("train", "validation", "test")
    }
    task = (
        "spec: xlmgen/task/v1\nname: text\nlayout: seq2seq\n"
        "max_length: {prompt: 200, answer: 200}\n"
        f"source: {{files: {json.dumps(files)}}}\n"
        "tokenizer: {kind: byte}\nmetrics: [exact_match]\n"
    )
    Path("text.yaml").write_text(task)
    Path("titled.yaml").write_text(f"{task}title: {QUOTED}\n")
    Path(f"{NAME}.yaml").write_text(
        "spec: xlmgen/experiment/v1\nfamily: toy\ntask: ./text.yaml\nsize: tiny\n"
        f"name: {QUOTED}\n"
    )
    Path("mine.yaml").write_text(
        "spec: xlmgen/experiment/v1\nname: mine\nfamily: mdlm\ntask: ./text.yaml\n"
        "size: tiny\nmodel: {d_model: 16, layers: 1, num_heads: 2}\nloggers: []\n"
        "training: {max_steps: 1, batch_size: 4, warmup_steps: 0, accelerator: cpu}\n"
        "predictor: {steps: 2}\nevaluation: {generate: 2, bound_samples: 1}\n"
    )
    return project


def test_hostile_text_in_specs_is_escaped(hostile, said):
    for form in ("text", "json", "github", "sarif"):
        assert said("check", f"{NAME}.yaml", "--format", form)[0] == 1
        said("check", "text.yaml", "titled.yaml", "--format", form)
        said("check", NAME, "--format", form)
    said("check", "--fix", f"{NAME}.yaml")
    said("list")
    said("resolve", f"{NAME}.yaml")
    said("resolve", "mine.yaml", f"name={QUOTED}")
    said("migrate", f"{NAME}.yaml")
    said("new", f"{NAME}.yaml")
    said("new", EVIL)
    said("update", NAME)
    said("explain", EVIL)
    said("init", NAME, "--dry-run")
    said("init", NAME)
    said("check", "--format", EVIL)
    said(EVIL)


def test_hostile_text_in_renders_is_escaped(hostile, said):
    good = Path(__file__).parent / "specs" / "positive" / "mdlm.yaml"
    text = good.read_text("utf-8")
    Path("spec.yaml").write_text(text)
    assert said("new", "spec.yaml")[0] == 0
    spec = Path("families/mdlm/family.yaml")
    spec.write_text(f"{text}summary: {QUOTED}\n")
    (spec.parent / "loss_mdlm.py").write_text(f"# {EVIL}\n")
    said("new", spec, "--diff")
    said("update", "families/mdlm", "--diff")
    said("update", "families/mdlm")
    said("check", "families", "--diff")


def test_hostile_text_in_review_is_escaped(hostile, said):
    def git(*words):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *identity, *words], check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    git("add", "toy.yaml", "toy_task.yaml")
    git("commit", "-qm", "one")
    Path("bad.yaml").write_text(f"spec: xlmgen/family/v1\nname: {QUOTED}\n")
    Path("toy.yaml").write_text(Path("toy.yaml").read_text() + f"# {EVIL!r}\n")
    for form in ("text", "markdown", "github"):
        words = ("review", "--against", "main", ".", "--format", form)
        said(*words, markdown=form == "markdown")
    said("review", "--against", EVIL)


def test_hostile_text_in_data_is_escaped(hostile, said):
    code, output = said("prepare", "mine.yaml")
    assert code == 0, output
    for form in ("text", "json"):
        code, output = said("data", "mine.yaml", "--format", form)
        assert code == 0, output
        assert "v\\x1b]0;t" in output or "v\\u001b]0;t" in output
    assert said("tokenizer", "train", "text.yaml", "--kind", "bpe", "--out", "t.json")
    said("cache", "list")
    code, output = said("train", "mine.yaml", "--run-dir", f"run{NAME}")
    assert code == 0, output
    run = Path(f"run{NAME}")
    code, output = said("eval", run, "--limit", "2")
    assert code == 0, output
    code, output = said("generate", run, "--num", "1")
    assert code == 0, output
    assert "v\\x1b]0;t" in output
    said("generate", run, "--prompt", EVIL)
    code, output = said("generate", run, "--prompt", "a\udcff")
    assert code == 2
    assert "prompt: \\udcff at character 1 is an unpaired surrogate" in output
    said("export", run, f"out{NAME}")
    (file,) = (run / "results").glob("*.json")
    results = json.loads(file.read_text())
    results["scores"] |= {EVIL: 0.5}
    file.with_name(f"test-{NAME}.json").write_text(json.dumps(results))
    for form in ("text", "markdown", "json"):
        words = ("compare", run, "--format", form)
        code, output = said(*words, markdown=form == "markdown")
        assert code == 0, output
    words = ("push", run, "me/star", "--dry-run", "--checkpoint", "last")
    code, output = said(*words)
    assert code == 0, output
    _, card = output.split("library_name:")
    assert "](https://evil" not in card.partition("\n---\n")[2]
    shutil.rmtree(run / "checkpoints")
    said("train", "mine.yaml", "--run-dir", run)
    said("eval", run)


def test_hostile_text_in_tensor_and_hub_names_is_escaped(hostile, said):
    folder = Path(f"c{NAME}")
    folder.mkdir()
    header = json.dumps({EVIL: {"dtype": EVIL, "shape": [1], "data_offsets": [4, 8]}})
    text = header.encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    (folder / "config.json").write_text(json.dumps({EVIL: 1, "model_type": EVIL}))
    assert said("import", folder)[0] == 2
    numbers = ("vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size")
    sizes = dict.fromkeys((*numbers, "num_attention_heads"), 8)
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2", **sizes}))
    code, output = said("import", folder)
    assert code == 2
    assert "header is damaged at e\\x1b[31m" in output
    said("pull", EVIL)
    said("push", "nothing", EVIL)
