"""The queue of a sweep: order, failures, interrupts and busy runs."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from xlmgen.errors import UserError
from xlmgen.sweeps.queue import Command, Job, Queue

ROOT = Path(__file__).parents[2]


def script(folder, text):
    return [sys.executable, "-c", text, str(folder)]


def make_job(folder, name, *texts, done=lambda folder: False):
    """A job whose commands are Python texts that are given its folder."""
    path = folder / name
    commands = [
        Command(f"part {n}", script(path, text), partial(done, path))
        for n, text in enumerate(texts)
    ]
    return Job(name=name, log=folder / f"{name}.log", commands=commands)


def run_queue(jobs, parallel=2):
    changes = []
    queue = Queue(
        jobs,
        parallel,
        lambda slot: os.environ,
        lambda p: changes.append((p.job.name, p.state)) if p else None,
    )
    queue.run()
    return queue, changes


TOUCH = "import sys, pathlib; pathlib.Path(sys.argv[1]).mkdir()"


def test_run_that_fails_does_not_end_the_others(tmp_path):
    bad = make_job(tmp_path, "bad", "print('why'); raise SystemExit(3)", TOUCH)
    good = make_job(tmp_path, "good", TOUCH, "pass")
    queue, changes = run_queue([bad, good], parallel=1)
    assert changes == [
        ("bad", "part 0"),
        ("bad", "failed"),
        ("good", "part 0"),
        ("good", "part 1"),
        ("good", "done"),
    ]
    assert [(p.job.name, p.reason) for p in queue.failed] == [("bad", "why")]
    assert not (tmp_path / "bad").exists(), "its second command has run"
    assert (tmp_path / "good").exists()


def test_what_is_done_is_not_run_again(tmp_path):
    job = make_job(tmp_path, "a", TOUCH, done=Path.exists)
    for expected in (["part 0", "done"], ["done"]):
        _, changes = run_queue([job])
        assert [state for _, state in changes] == expected


def test_run_that_cannot_be_prepared_fails_with_the_reason(tmp_path):
    def refuse():
        raise UserError("another experiment is there")

    job = make_job(tmp_path, "a", TOUCH)
    queue, _ = run_queue([replace(job, prepare=refuse)])
    assert queue.failed[0].reason == "another experiment is there"


STOPPABLE = """\
import pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
def save(signum, frame):
    (folder / "saved").touch()
    raise SystemExit(143)
signal.signal(signal.SIGTERM, save)
folder.mkdir()
while True:
    time.sleep(0.05)
"""
DRIVER = """\
import sys
from tests.sweeps.test_queue import STOPPABLE, make_job, run_queue
from pathlib import Path
jobs = [make_job(Path(sys.argv[1]), name, STOPPABLE) for name in ("a", "b")]
queue, changes = run_queue(jobs, parallel=1)
print(changes, queue.was_stopped, queue.failed)
"""


def test_interrupt_lets_what_runs_save_and_starts_nothing_more(tmp_path):
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    begun = time.monotonic() + 300
    while not (tmp_path / "a").exists() and time.monotonic() < begun:
        time.sleep(0.05)
    driver.send_signal(signal.SIGINT)
    output, _ = driver.communicate(timeout=300)
    states = [("a", "part 0"), ("a", "stopped"), ("b", "stopped")]
    assert output.strip() == f"{states} True []"
    assert (tmp_path / "a" / "saved").exists()
    assert not (tmp_path / "b").exists()


def test_busy_job_waits_and_does_not_keep_others_waiting(tmp_path):
    job, other = (make_job(tmp_path, name, TOUCH) for name in ("a", "b"))
    busy = replace(job, is_busy=lambda: not (tmp_path / "b").exists())
    _, changes = run_queue([busy, other], parallel=1)
    assert changes == [
        ("a", "busy"),
        ("b", "part 0"),
        ("b", "done"),
        ("a", "part 0"),
        ("a", "done"),
    ]


def test_parallel_jobs_have_different_workers(tmp_path):
    show = "import os, pathlib, sys, time; time.sleep(1); print(os.environ['SLOT'])"
    jobs = [make_job(tmp_path, name, show) for name in "abc"]
    Queue(jobs, 2, lambda slot: {**os.environ, "SLOT": str(slot)}).run()
    slots = [job.log.read_text().splitlines()[-1] for job in jobs]
    assert slots[:2] == ["0", "1"]
    assert slots[2] in slots[:2]


KILLED = """\
import sys
from pathlib import Path
from tests.sweeps.test_queue import SLEEPING, make_job, run_queue
run_queue([make_job(Path(sys.argv[1]), "a", SLEEPING)])
"""
SLEEPING = """\
import os, pathlib, signal, sys, time
from xlmgen.sweeps.lifeline import end_with_parent
folder = pathlib.Path(sys.argv[1])
def save(signum, frame):
    (folder / "saved").touch()
    raise SystemExit(143)
signal.signal(signal.SIGTERM, save)
end_with_parent()
folder.mkdir()
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel sends the signal")
def test_killed_queue_stops_its_processes(tmp_path):
    driver = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, text=True
    )
    wait_for(tmp_path / "a")
    driver.kill()
    driver.wait(timeout=60)
    wait_for(tmp_path / "a" / "saved")


def wait_for(path):
    end = time.monotonic() + 300
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.05)
