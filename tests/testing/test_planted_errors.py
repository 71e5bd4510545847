"""Mistakes that real implementations made: the generated suite must find every one.

Each is planted into a copy of a rendered family, or of the library where the line lives
there, and the family's own rendered tests are run on the copy as a user would run them.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from xlmgen import resources
from xlmgen.render import render
from xlmgen.spec.family import family_spec
from xlmgen.spec.load import load_yaml

pytestmark = pytest.mark.slow

CHANGES = {
    "arlm": ("arlm", "", ""),
    "mdlm": ("mdlm", "", ""),
    "ragged": ("mdlm", "padding: predict", "padding: ignore"),
    "remasking": (
        "mdlm",
        "order: random, steps: 128",
        "order: random, steps: 128, remask: {rule: cap, eta: 0.1}",
    ),
    "margin": ("mdlm", "order: random", "order: margin"),
    "noisy": ("mdlm", "order: random", "order: top_prob, order_temperature: 0.5"),
    "guided": ("mdlm", "order: random", "order: random, guidance: 1.0"),
}
"""Name of a spec: the shipped one that it is, but for one replaced text."""


@dataclass(frozen=True)
class Planted:
    """A mistake: in which file of which spec's family, or of the library."""

    about: str
    spec: str
    file: str
    old: str
    new: str
    test: str

    def __str__(self) -> str:
        return self.about.replace(" ", "-")


PLANTED = [
    Planted(
        "targets not shifted",
        "arlm",
        "collator",
        "clean.ids[:, :-1]",
        "clean.ids[:, 1:]",
        "collator",
    ),
    Planted(
        "prompt tokens scored",
        "arlm",
        "collator",
        "scored = clean.answer[:, 1:]",
        "scored = clean.attended[:, 1:]",
        "collator",
    ),
    Planted(
        "pads scored",
        "arlm",
        "collator",
        "scored = clean.answer[:, 1:]",
        "scored = clean.answer[:, 1:] | ~clean.attended[:, 1:]",
        "collator",
    ),
    Planted(
        "prediction read one position early",
        "arlm",
        "loss",
        'model(batch["input_ids"], at=at)',
        'model(batch["input_ids"], at=(at - 1).clamp(min=0))',
        "loss",
    ),
    Planted(
        "pads on the left between prompt and BOS",
        "arlm",
        "xlmgen/data/layout.py",
        "_place(ids, prompts, width - end + int(opened), lengths)",
        "_place(ids, prompts, 0 * end, lengths)",
        "collator",
    ),
    Planted(
        "EOS of the prompt ends the row",
        "arlm",
        "predictor",
        "going = (token != self.tokens.eos)",
        "going = (ids[active] != self.tokens.eos).all(1)",
        "predictor",
    ),
    Planted(
        "first EOS ignored",
        "arlm",
        "predictor",
        "going = (token != self.tokens.eos)",
        "going = (generated[active] & (ids[active] == self.tokens.eos)).sum(1).lt(2)",
        "predictor",
    ),
    Planted(
        "pads of the prompt attended",
        "arlm",
        "predictor",
        "model(new_ids, attention_mask, at=last, cache=cache)",
        "model(new_ids, None, at=last, cache=cache)",
        "predictor",
    ),
    Planted(
        "cache misaligned by one",
        "arlm",
        "xlmgen/nn/cache.py",
        "self.length += length",
        "self.length += max(1, length - 1)",
        "model",
    ),
    Planted(
        "rows of the cache not dropped in order",
        "arlm",
        "xlmgen/nn/cache.py",
        "self.values = self.values[:, rows]",
        "self.values = self.values[:, : len(rows)]",
        "model",
    ),
    Planted(
        "positions start anew behind a cache",
        "arlm",
        "xlmgen/nn/rotary.py",
        "torch.arange(past, past + length, device",
        "torch.arange(length, device",
        "model",
    ),
    Planted(
        "attention looks ahead",
        "arlm",
        "model",
        "causal=True",
        "causal=False",
        "model",
    ),
    Planted(
        "autograd left on",
        "arlm",
        "predictor",
        "@torch.inference_mode()",
        "@torch.enable_grad()",
        "predictor",
    ),
    Planted(
        "nucleus drops the token that crosses p",
        "arlm",
        "xlmgen/sampling.py",
        "mass_before = probs.cumsum(-1) - probs",
        "mass_before = probs.cumsum(-1)",
        "predictor",
    ),
    Planted(
        "all layers initialised alike",
        "mdlm",
        "model",
        "        initialise(self, layers)",
        "        initialise(self, layers)\n"
        "        for block in self.blocks:\n"
        "            block.load_state_dict(self.blocks[0].state_dict())",
        "model",
    ),
    Planted(
        "residual taken from the modulated stream",
        "mdlm",
        "model",
        "x = x + gate *",
        "x = y + gate *",
        "model",
    ),
    Planted(
        "head on chosen positions of the wrong row",
        "mdlm",
        "model",
        "x.flatten(0, 1)[at]",
        "x.transpose(0, 1).flatten(0, 1)[at]",
        "model",
    ),
    Planted(
        "prompt corrupted",
        "mdlm",
        "collator",
        "clean.answer & (draws < rate)",
        "clean.attended & (draws < rate)",
        "collator",
    ),
    Planted(
        "noise falls with time",
        "mdlm",
        "collator",
        "rate = 1 - self.schedule.alpha(t)",
        "rate = self.schedule.alpha(t)",
        "collator",
    ),
    Planted(
        "evaluation leaves out small times",
        "mdlm",
        "collator",
        "0.0 if evaluation else",
        "0.2 if evaluation else",
        "collator",
    ),
    Planted(
        "pads attended in training",
        "ragged",
        "collator",
        "clean.attention_mask",
        "None",
        "collator",
    ),
    Planted(
        "weight of the reversed time",
        "mdlm",
        "xlmgen/noise.py",
        "return 1 / t\n",
        "return 1 / (1 - t)\n",
        "loss",
    ),
    Planted(
        "divided by the masked tokens",
        "mdlm",
        "loss",
        'num_tokens = batch["maskable"].sum(1)',
        "num_tokens = row.bincount(minlength=rows)",
        "loss",
    ),
    Planted(
        "weights averaged before they are applied",
        "mdlm",
        "loss",
        "weight[row] * nll",
        "weight.mean() * nll",
        "loss",
    ),
    Planted(
        "MASK not excluded from the loss",
        "mdlm",
        "loss",
        "logits[:, self.tokens.mask] = -torch.inf",
        "logits[:, self.tokens.mask] += 0",
        "loss",
    ),
    Planted(
        "targets overwritten in place",
        "mdlm",
        "loss",
        'batch["target_ids"].flatten()',
        'batch["target_ids"].masked_fill_(~batch["maskable"], -100).flatten()',
        "loss",
    ),
    Planted(
        "MASK sampled",
        "mdlm",
        "predictor",
        "never = (tokens.bos, tokens.mask, tokens.cls)",
        "never = (tokens.bos, tokens.cls)",
        "predictor",
    ),
    Planted(
        "time runs the wrong way",
        "mdlm",
        "predictor",
        "canvas.time(times[step])",
        "canvas.time(1 - times[step])",
        "predictor",
    ),
    Planted(
        "probabilities where logits are expected",
        "mdlm",
        "predictor",
        "self.sample(logits, generator)",
        "self.sample(logits.softmax(-1), generator)",
        "predictor",
    ),
    Planted(
        "reveals not divided by the share that is masked",
        "mdlm",
        "predictor",
        "(alpha_s - alpha_t) / (1 - alpha_t)",
        "(alpha_s - alpha_t)",
        "predictor",
    ),
    Planted(
        "given tokens overwritten",
        "mdlm",
        "xlmgen/canvas.py",
        "self.masked = fillable & (input_ids == mask)",
        "self.masked = torch.ones_like(fillable)",
        "predictor",
    ),
    Planted(
        "remasked without revealing more",
        "remasking",
        "predictor",
        "(alpha_s - (1 - sigma) * alpha_t) / (1 - alpha_t)",
        "(alpha_s - alpha_t) / (1 - alpha_t)",
        "predictor",
    ),
    Planted(
        "margin of indices",
        "margin",
        "xlmgen/sampling.py",
        "log_probs.exp().topk(2).values",
        "log_probs.exp().topk(2).indices.double()",
        "predictor",
    ),
    Planted(
        "unit noise on probabilities",
        "noisy",
        "predictor",
        "add_gumbel(scores, self.order_temperature, generator)",
        "add_gumbel(scores.exp(), 1.0, generator)",
        "predictor",
    ),
    Planted(
        "guidance away from the prompt",
        "guided",
        "predictor",
        "(1 + self.guidance) * logits - self.guidance * free",
        "(1 - self.guidance) * logits + self.guidance * free",
        "predictor",
    ),
]


@pytest.mark.parametrize("planted", PLANTED, ids=str)
def test_generated_suite_fails_by_an_assertion(planted: Planted, tmp_path: Path):
    folder, name = rendered(planted.spec, tmp_path)
    if planted.file.startswith("xlmgen/"):
        target = library(tmp_path) / planted.file
    else:
        target = folder / f"{planted.file}_{name}.py"
    text = target.read_text("utf-8")
    assert text.count(planted.old) == 1, "the text to replace has moved"
    target.write_text(text.replace(planted.old, planted.new), "utf-8")
    done = run_suite(folder / "tests" / f"test_{planted.test}_{name}.py", tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"^FAILED .* - (assert|AssertionError)", done.stdout, re.M), (
        done.stdout
    )


@pytest.mark.parametrize("spec", list(CHANGES))
def test_without_an_error_the_suite_passes(spec: str, tmp_path: Path):
    folder, name = rendered(spec, tmp_path)
    library(tmp_path)
    used = sorted({planted.test for planted in PLANTED if planted.spec == spec})
    for test in used:
        done = run_suite(folder / "tests" / f"test_{test}_{name}.py", tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr


def rendered(spec: str, tmp_path: Path) -> tuple[Path, str]:
    """Render a spec; its folder and the family's name."""
    name, old, new = CHANGES[spec]
    text = (resources.root() / "families" / name / "family.yaml").read_text("utf-8")
    assert not old or text.count(old) == 1
    family = family_spec(load_yaml("family.yaml", text.replace(old, new)))
    folder = tmp_path / "families" / name
    for path, content in render(family).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, "utf-8")
    return folder, name


def library(tmp_path: Path) -> Path:
    """A copy of xlmgen that comes before the installed one."""
    copy = tmp_path / "library"
    package = Path(sys.modules["xlmgen"].__path__[0])
    shutil.copytree(
        package, copy / "xlmgen", ignore=shutil.ignore_patterns("__pycache__")
    )
    for data in ("schemas", "templates", "families"):
        (copy / data).symlink_to(resources.root() / data)
    return copy


def run_suite(test: Path, tmp_path: Path) -> "subprocess.CompletedProcess[str]":
    """Run one rendered test file up to its first failure."""
    environment = os.environ | {
        "PYTHONPATH": str(tmp_path / "library"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
    }
    command = [sys.executable, "-m", "pytest", str(test), "-x", "-q", "-rf"]
    command += ["-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path)]
    return subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
