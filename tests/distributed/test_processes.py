"""Two processes give the same losses, rows, answers and continuations as one."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from xlmgen.cli import main
from xlmgen.runs.metrics import read_rows
from xlmgen.runs.run import THROUGHPUT, Run

# Answers of 1 to 8 tokens: halves of a batch hardly ever have as many as each other.
TASK = """\
spec: xlmgen/task/v1
name: uneven
layout: seq2seq
max_length: {prompt: 4, answer: 10}
source:
  files: {train: train.jsonl, validation: validation.jsonl, test: test.jsonl}
tokenizer: {kind: character}
metrics: [exact_match, token_accuracy, numeric_match]
"""
# Metrics of every answer, of all answers together, and of samples.
GRAMMAR = """\
spec: xlmgen/task/v1
name: grammar
layout: lm
max_length: {length: 7}
source:
  generator: cfg
  start: sum
  rules: {sum: [number, number + sum], number: ["1", "2", "3"]}
  length: {min: 1, max: 5}
  sizes: {train: 20, validation: 5, test: 9}
tokenizer: {kind: vocabulary, tokens: ["1", "2", "3", +]}
metrics: [parses, rule_coverage, distinct_templates, length, unigram_entropy, novelty]
"""
HALF = ("training.devices=2", "training.batch_size=4")
FSDP = (*HALF, "training.strategy=fsdp")
EXACT = ("model.dropout=0",)
# Weights do not move, so that validations compare whatever was trained on.
STILL = ("training.max_steps=1", "training.learning_rate=1e-30")
AVERAGED = ("training.ema_decay=0.9", "evaluation.batch_size=4")
IMPATIENT = (
    "training.max_steps=9",
    "training.validate_every=1",
    "training.patience=1",
    "evaluation.batch_size=64",
    "evaluation.generate=1",
)
SIX = ("training.max_steps=6",)
SKIP = ("family=sick", "training.on_nan=skip")
PROGRAM = """\
import json, os, signal, sys
from pathlib import Path
from threading import Thread
from time import sleep

from xlmgen.cli import main
from xlmgen.training import throughput

throughput.peak_flops = lambda *_: 1e12


def signal_one():
    while not Path("signalled/checkpoints/step=000004").exists():
        sleep(0.01)
    os.kill(os.getpid(), signal.SIGUSR1)


if os.environ["RANK"] == "1":
    Thread(target=signal_one, daemon=True).start()
for command in json.loads(sys.argv[1]):
    goal = 128 + signal.SIGUSR1 if "signalled" in command else 0
    assert main(command) == goal, command
"""
SICK = """\
        from xlmgen.distributed import processes

        learns = model.training and torch.is_grad_enabled()
        self.calls = getattr(self, "calls", 0) + learns
        last = processes.rank() == processes.count() - 1
        if learns and self.calls == 3 and last:
            loss = loss * torch.nan
        return {"loss": loss,"""
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def write_task():
    draw = random.Random(0)
    for split, rows in (("train", 100), ("validation", 37), ("test", 41)):
        lines = []
        for _ in range(rows):
            length = draw.randint(1, 8)
            prompt = "".join(draw.choices("abc", k=3))
            target = "".join(draw.choices("123456", k=length))
            lines.append(json.dumps({"prompt": prompt, "target": target}))
        Path(f"{split}.jsonl").write_text("\n".join(lines))
    Path("toy_task.yaml").write_text(TASK)
    Path("grammar.yaml").write_text(GRAMMAR)
    # The clip bites in every step, and every checkpoint stays.
    text = Path("toy.yaml").read_text()
    Path("toy.yaml").write_text(
        text.replace(
            "training:\n",
            "training:\n  gradient_clip: 0.05\n  keep: null\n  ema_decay: 0.4\n",
        )
    )


def write_family(name, old, new):
    """The stand-in family with another loss."""
    shutil.copytree("families/toy", f"families/{name}")
    for file in Path(f"families/{name}").iterdir():
        file.write_text(file.read_text().replace("toy", name).replace(old, new))


def write_families():
    # It draws noise of its own.
    write_family("noisy", "noise = 0.0", "noise = 0.3")
    # On the last of the ranks the third batch is spoilt.
    write_family("sick", '        return {"loss": loss,', SICK)


def start_and_kill(folder):
    """Train with two processes started by Lightning, and kill both."""
    Path("program.py").write_text("import sys\nfrom xlmgen.cli import main\nmain()\n")
    process = subprocess.Popen(
        [
            *(sys.executable, "-u", "program.py", "train", "toy.yaml"),
            *("--run-dir", folder, "training.devices=2", "training.batch_size=4"),
            *("training.max_steps=100000", "training.log_every=5"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=ENVIRONMENT,
        start_new_session=True,
    )
    said = ""
    for line in process.stdout:
        said += line
        if "step 10/" in line:
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert said.count("step 5/") == 1, said  # one of the two speaks
    last, _ = Run.open(folder).checkpoint("last")
    assert last >= 8
    return last


def run(folder, *overrides):
    return ["train", "toy.yaml", "--run-dir", folder, *overrides]


def alone(*commands):
    for command in commands:
        assert main(command) == 0


def in_two_processes(*commands):
    """Run commands with `torchrun` in one pair of processes, which start slowly."""
    Path("program.py").write_text(PROGRAM)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node=2", "program.py", json.dumps(commands)),
        ],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env=ENVIRONMENT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def weights(folder, step=12):
    """Raw and averaged weights."""
    path = Run.open(folder).checkpoints / f"step={step:06d}"
    average = load_file(path / "ema.safetensors")
    raw = load_file(path / "model.safetensors")
    return raw | {f"average of {name}": value for name, value in average.items()}


def assert_same(one, other, step=12):
    """Compare bit by bit."""
    ours, theirs = weights(one, step), weights(other, step)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert rows_of(one) == rows_of(other)


def assert_close(one, other):
    """Compare all checkpoints up to the order of additions."""
    for step in (4, 8, 12):
        ours, theirs = weights(one, step), weights(other, step)
        for name in ours:
            torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=2e-6)
    compare_rows(rows_of(one), rows_of(other))


def compare_rows(ours, theirs, columns=""):
    """Compare the columns with these prefixes in every row."""
    assert [row["step"] for row in ours] == [row["step"] for row in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            if not name.startswith(columns):
                continue
            number = float(value or "nan")
            expected = pytest.approx(float(other[name] or "nan"), rel=1e-5, nan_ok=True)
            assert number == expected, name


def rows_of(folder):
    return read_rows(Path(folder) / "metrics.csv")


def results(folder, name):
    return json.loads((Path(folder) / "results" / f"{name}.json").read_text())


def predictions(folder, name):
    return (Path(folder) / "predictions" / f"{name}.jsonl").read_text()


EVALUATIONS = (
    ["eval", "one"],
    ["eval", "one", "--limit", "1", "--split", "train"],  # fewer rows than processes
    ["eval", "noisy-one", "--limit", "20"],
    ["eval", "mlm-one", "--pseudo-likelihood", "--limit", "20"],
    ["eval", "grammar-one"],  # of averaged weights, and three batches for two
    ["generate", "one", "--num", "20", "--trace", "--out", "answers.jsonl"],
)


def taken_away():
    """Remove the files of the evaluations, and return their texts by file name."""
    files = [
        *Path().glob("*-one/results/*"),
        *Path().glob("one/results/*"),
        *Path().glob("*one/predictions/*"),
        Path("answers.jsonl"),
    ]
    found = {str(file): file.read_text() for file in files}
    for file in files:
        file.unlink()
    assert len(found) == 12
    return found


def assert_same_evaluations(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name in ours:
        if name.endswith(".jsonl") and "/results/" not in name:
            assert ours[name] == theirs[name], name
            continue
        lines = [made[name].splitlines() for made in (ours, theirs)]
        if name.endswith(".json"):
            lines = [[made[name]] for made in (ours, theirs)]
        for one, other in zip(*lines, strict=True):
            numbers = flat(json.loads(other))
            approximate = pytest.approx(numbers, rel=1e-6, nan_ok=True)
            assert flat(json.loads(one)) == approximate, name


def flat(values, at=""):
    found = {}
    for key, value in values.items():
        inner = flat(value, f"{at}{key}.") if isinstance(value, dict) else {}
        found |= inner or {f"{at}{key}": value}
    return {k: v for k, v in found.items() if isinstance(v, int | float)}


@pytest.mark.slow
def test_two_processes_equal_one(project, capsys):
    write_task()
    write_families()
    last = start_and_kill("killed")
    # A row of metrics begins before that checkpoint and ends after it.
    goal = (f"training.max_steps={last + 5}", "training.log_every=5")
    small = ("training.gradient_clip=1e-9",)  # AdamW's step is then as the gradient
    alone(
        run("one", *EXACT),
        run("one-to-fsdp", *EXACT, *SIX),
        run("sick-one", *EXACT, *SKIP),
        run("noisy-one", *STILL, "family=noisy"),
        run("mdlm-one", *STILL, "family=mdlm"),
        run("mlm-one", *STILL, "family=mlm"),
        run("grammar-one", *AVERAGED, "family=arlm", "task=./grammar.yaml"),
    )
    capsys.readouterr()
    alone(*EVALUATIONS)
    shown, evaluated = capsys.readouterr().out, taken_away()

    said = in_two_processes(
        *EVALUATIONS,
        run("ddp", *HALF, *EXACT),
        run("fsdp", *FSDP, *EXACT),
        run("ddp-small", *HALF, *EXACT, *small),
        run("fsdp-small", *FSDP, *EXACT, *small),
        run("sick-ddp", *HALF, *EXACT, *SKIP),
        run("sick-fsdp", *FSDP, *EXACT, *SKIP),
        run("noisy-ddp", *HALF, *STILL, "family=noisy"),
        run("mdlm-ddp", *HALF, *STILL, "family=mdlm"),
        # One batch for two: 37 rows of the loss, and one to answer.
        run("idle", *FSDP, *STILL, *IMPATIENT),
        # Only the second of the two hears the signal.
        run("signalled", *FSDP, "training.max_steps=100000"),
        run("killed", *HALF, *goal),
        run("whole", *HALF, *goal),
        run("fsdp-whole", *FSDP),
        run("fsdp-parts", *FSDP, *SIX),
        run("fsdp-parts", *FSDP),
        run("fsdp-to-one", *FSDP, *EXACT, *SIX),
        run("fsdp-to-ddp", *FSDP, *EXACT, *SIX),
        run("fsdp-to-ddp", *HALF, *EXACT),
        run("one-to-fsdp", *FSDP, *EXACT),
    )
    waits = "is preparing the same data; waiting for it"  # if both come at once
    assert not [line for line in said.stderr.splitlines() if waits not in line]
    assert_same_evaluations(evaluated, taken_away())
    assert shown == said.stdout[: len(shown)]
    assert said.stdout.count("step 12/12") == 10  # one of the two speaks

    assert_close("one", "ddp")
    assert_close("one", "fsdp")
    assert_close("ddp-small", "fsdp-small")
    assert_close("sick-one", "sick-ddp")
    assert_close("sick-one", "sick-fsdp")
    assert rows_of("sick-one")[0]["train/skipped"] == "1.0"
    for one, other in (("noisy-one", "noisy-ddp"), ("mdlm-one", "mdlm-ddp")):
        compare_rows(rows_of(one), rows_of(other), "val/")
        assert rows_of(one)[0]["train/loss"] != rows_of(other)[0]["train/loss"]
    shares = [
        "speed/mfu" in read_rows(Path(one) / THROUGHPUT)[0] for one in ("ddp", "fsdp")
    ]
    assert shares == [True, False]
    stopped, _ = Run.open("signalled").checkpoint("last")
    assert f"stopped at step {stopped} and saved" in said.stdout
    assert int(rows_of("idle")[-1]["step"]) == 2  # nothing moves, and both see it
    assert_same("killed", "whole", last + 5)
    assert_same("fsdp-whole", "fsdp-parts")
    assert_close("one", "fsdp-to-ddp")
    assert_close("one", "one-to-fsdp")
    alone(run("fsdp-to-one", *EXACT), ["eval", "fsdp-to-one"])
    assert_close("one", "fsdp-to-one")
