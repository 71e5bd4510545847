"""Environment variables of launchers: current ones and leftovers."""

import os
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from xlmgen.distributed import launch
from xlmgen.errors import UserError

EVERY = (
    *launch.RANKS,
    *launch.SIZES,
    *launch.RENDEZVOUS,
    launch.PARENT,
    launch.TORCHRUN,
)
TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "RANK": "0", "WORLD_SIZE": "2"}
SRUN = {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2"}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """An environment without launcher variables, restored afterwards."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    for name in [*EVERY, *(name for name in os.environ if name.startswith("SLURM_"))]:
        os.environ.pop(name, None)


def check(devices=2, nodes=1, **variables):
    os.environ.update(variables)
    launch.check_processes(SimpleNamespace(devices=devices, num_nodes=nodes))


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize(
    "left",
    [
        {"LOCAL_RANK": "0"},
        {"NODE_RANK": "0", "GROUP_RANK": "0"},
        {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"},
        {"MASTER_ADDR": "10.255.255.1", "MASTER_PORT": "29500"},
        {"LOCAL_RANK": ""},
        {"LOCAL_RANK": "none"},
        {"SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_JOB_NAME": "train"},
    ],
)
def test_variables_of_one_process_are_ignored(left, devices):
    check(devices, **left)
    assert not set(EVERY) & set(os.environ) - {launch.PARENT}
    assert (launch.is_first(), launch.started()) == (True, None)


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOCAL_RANK", "1"),
        ("NODE_RANK", "1"),
        ("GROUP_RANK", "2"),
        ("RANK", "3"),
        ("WORLD_SIZE", "2"),
        ("LOCAL_WORLD_SIZE", "8"),
    ],
)
def test_leftover_variable_of_several_processes_is_refused(name, value, devices):
    with pytest.raises(UserError) as refused:
        check(devices, **{name: value})
    assert f"{name}={value} in the environment" in refused.value.message
    assert f"env -u {name} " in refused.value.fix
    assert "\n" not in str(refused.value)


def test_several_nodes_without_launcher_are_refused():
    with pytest.raises(UserError, match="num_nodes is 2, and no launcher"):
        check(2, 2, NODE_RANK="0", MASTER_ADDR="localhost", MASTER_PORT="1")


def test_process_started_by_lightning_is_not_first():
    check(2)
    assert launch.is_first()
    os.environ.update(LOCAL_RANK="0", NODE_RANK="0", WORLD_SIZE="2")  # as it sets them
    check(2)  # trained once more in one process
    os.environ.update(LOCAL_RANK="1", NODE_RANK="0", WORLD_SIZE="2")
    program = (
        "from types import SimpleNamespace\nfrom xlmgen.distributed import launch\n"
        "launch.check_processes(SimpleNamespace(devices=2, num_nodes=1))\n"
        "print(launch.is_first())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize("variables", [TORCHRUN, SRUN])
def test_launcher_variables_determine_rank_and_count(variables):
    check(2, LOCAL_RANK="0", **variables)
    assert (launch.is_first(), launch.started()) == (True, 2)
    with pytest.raises(UserError, match="the launcher started 2 processes"):
        check(3)
    os.environ.update(RANK="1", SLURM_PROCID="1")
    assert not launch.is_first()


def test_ended_torchrun_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        agent = {"TORCHELASTIC_USE_AGENT_STORE": "True"}
        check(2, **TORCHRUN, **meeting, **agent)
    with pytest.raises(UserError, match=f"127.0.0.1:{port}, where nothing answers"):
        check(2)


DEAF = """
import hashlib
from xlmgen.training import signals

signals.DEAF = 0.5
with signals.stopped_by_signals():
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_signal_is_handled_during_native_code(name):
    import signal

    signum = getattr(signal, name)
    with subprocess.Popen(
        [sys.executable, "-c", DEAF],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.5)  # until no Python runs any more
        process.send_signal(signum)
        assert process.wait(timeout=60) == 128 + signum
        assert process.stderr.read() == f"stopped by {name}\n"


FORKED = """
import os, signal, time
from xlmgen.training import signals

signals.DEAF = 0.2
with signals.stopped_by_signals():
    worker = os.fork()
    if not worker:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
        time.sleep(60)
    time.sleep(0.5)
    os.kill(worker, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == 7
    time.sleep(1)
print("goes on")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_signal_to_worker_does_not_end_the_run():
    done = subprocess.run(
        [sys.executable, "-c", FORKED],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == "goes on\n", done.stderr


def test_too_many_processes_for_cores_are_refused(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    launch.check_cores(SimpleNamespace(devices=4))
    with pytest.raises(UserError, match=r"devices is 8, .* 2 cores; give at most 4"):
        launch.check_cores(SimpleNamespace(devices=8))
