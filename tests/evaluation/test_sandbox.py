"""Sandboxed programs: hostile ones end and change nothing, others work."""

import os
import socket
import sys
import time

import pytest

from xlmgen.errors import UserError
from xlmgen.evaluation import sandbox
from xlmgen.evaluation.confine import CALLS
from xlmgen.evaluation.sandbox import Limits, run_program, run_programs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
SHORT = Limits(cpu=1, wall=3, memory=2**28)
GOOD = "import math\n\ndef f():\n    return math.comb(8, 2)\n"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder with a file in it, as the current folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("API_KEY", "hunter2")
    (tmp_path / "thesis.txt").write_text("years of work")
    (tmp_path / "kept").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def state(folder):
    return {
        path.relative_to(folder).as_posix(): (
            path.stat().st_mode,
            path.stat().st_mtime_ns,
            path.read_text() if path.is_file() else None,
        )
        for path in sorted(folder.rglob("*"))
    }


ENDS = {
    "loops": "while True: pass",
    "loops, catches signals and raises its limits": (
        "import resource, signal\n"
        "for number in range(1, 65):\n"
        "    try: signal.signal(number, lambda *_: None)\n"
        "    except (OSError, ValueError): pass\n"
        "for what in (resource.RLIMIT_CPU, resource.RLIMIT_AS):\n"
        "    try: resource.setrlimit(what, (-1, -1))\n"
        "    except (OSError, ValueError): pass\n"
        "while True: pass"
    ),
    "sleeps": "import time\ntime.sleep(1000)",
    "takes memory": "data = [0] * 10**10",
    "takes memory bit by bit": "data = []\nwhile True: data.append(bytearray(10**6))",
    "recurses": (
        "import sys\nsys.setrecursionlimit(10**9)\ndef g(n): return g(n + 1)\ng(0)"
    ),
    "computes a huge number": "len(str(7 ** 10**9))",
    "nests too deeply": "x = " + "(" * 10**5,
    "prints endlessly": "while True: print('spam' * 1000)",
    "exits": "import os\nos._exit(0)",
    "exits politely": "raise SystemExit",
    "crashes": "import ctypes\nctypes.string_at(0)",
    "ends itself": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    "reports nonsense": (
        "import os\n"
        "for fd in range(3, 32):\n"
        "    try: os.write(fd, b'refused \\nready\\n[[{')\n"
        "    except OSError: pass\n"
        "os._exit(0)"
    ),
    "reports without end": (
        "import os\n"
        "while True:\n"
        "    for fd in range(3, 32):\n"
        "        try: os.write(fd, b'[' * 10000)\n"
        "        except OSError: pass"
    ),
    "closes everything": "import os, time\nos.closerange(0, 32)\ntime.sleep(1000)",
}


@pytest.mark.slow
def test_hostile_programs_end_and_do_not_disturb_others(home):
    before, start = state(home), time.monotonic()
    codes = [GOOD + part for code in ENDS.values() for part in ("", code)]
    outcomes = run_programs(codes, ["f"] * len(codes), SHORT)
    assert [o.value for o in outcomes[::2]] == ["28"] * len(ENDS)
    assert {o.status for o in outcomes[::2]} == {"returned"}
    ends = dict(zip(ENDS, outcomes[1::2], strict=True))
    assert [name for name, o in ends.items() if o.status == "returned"] == []
    assert max(len(o.output) for o in outcomes) == SHORT.output
    assert time.monotonic() - start < 60
    assert state(home) == before


# Each part tries one kind of harm, and the program reports those that succeeded.
TRIES = """
import ctypes, os, shutil, signal, socket, subprocess, sys, threading, time

home, port, parent = {home!r}, {port}, {parent}
libc = ctypes.CDLL(None)
done = []

def attempt(name, harm):
    try:
        result = harm()
    except BaseException:
        return
    if result != -1:
        done.append(name)

def write(path):
    with open(path, "w") as file:
        file.write("mine")

def large():
    with open(home + "/large", "wb") as file:
        file.truncate(10**10)

def leave_a_daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(0.5)
            write(home + "/daemon")
        os._exit(0)

attempt("write", lambda: write(home + "/new.txt"))
attempt("overwrite", lambda: write(home + "/thesis.txt"))
attempt("write here", lambda: write("here.txt"))
attempt("write to memory", lambda: write("/dev/shm/xlmgen-{{}}".format(parent)))
attempt("large", large)
attempt("remove", lambda: os.remove(home + "/thesis.txt"))
attempt("remove all", lambda: shutil.rmtree(home))
attempt("rename", lambda: os.rename(home + "/thesis.txt", home + "/gone"))
attempt("truncate", lambda: os.truncate(home + "/thesis.txt", 0))
attempt("chmod", lambda: os.chmod(home + "/thesis.txt", 0))
attempt("utime", lambda: os.utime(home + "/thesis.txt", (0, 0)))
attempt("chmod folder", lambda: libc.chmod(home.encode(), 0))
attempt("mkdir", lambda: os.mkdir(home + "/folder"))
attempt("link", lambda: os.link(home + "/thesis.txt", home + "/link"))
attempt("symlink", lambda: os.symlink("/", home + "/root"))
attempt("fifo", lambda: os.mkfifo(home + "/fifo"))
attempt("read", lambda: open(home + "/thesis.txt").read())
attempt("list", lambda: os.listdir(home))
attempt("read users", lambda: open("/etc/passwd").read())
attempt("environment", lambda: os.environ["API_KEY"])
attempt("its parent's", lambda: open(f"/proc/{{parent}}/environ").read())
attempt("its parent's memory", lambda: open(f"/proc/{{parent}}/mem", "r+b"))
attempt("fork", os.fork)
attempt("raw fork", lambda: libc.fork())
attempt("raw clone", lambda: libc.syscall({clone}, 17, 0, 0, 0, 0))
attempt("daemon", leave_a_daemon)
attempt("thread", threading.Thread(target=print).start)
attempt("shell", lambda: -1 if os.system("touch " + home + "/shell") else 0)
attempt("spawn", lambda: subprocess.run(["/bin/true"]))
attempt("exec", lambda: os.execv("/bin/touch", ["touch", home + "/exec"]))
attempt("connect", lambda: socket.create_connection(("127.0.0.1", port), 1))
attempt("unix socket", lambda: socket.socket(socket.AF_UNIX))
attempt("signal 0", lambda: os.kill(parent, 0))
attempt("signal", lambda: os.kill(parent, signal.SIGUSR1))
attempt("trace", lambda: libc.ptrace(16, parent, 0, 0))
attempt("mount", lambda: libc.mount(b"none", home.encode(), b"tmpfs", 0, None))
attempt("namespace", lambda: libc.unshare(0x10000000))
attempt("memory file", lambda: os.memfd_create("data"))
attempt("priority", lambda: os.setpriority(os.PRIO_PROCESS, 0, -5))

def f():
    return done
"""


def test_hostile_program_changes_nothing(home):
    signals = []
    import platform
    import signal

    clone = {"x86_64": 56, "aarch64": 220}[platform.machine()]
    old = signal.signal(signal.SIGUSR1, lambda *_: signals.append(1))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        values = {"home": str(home), "parent": os.getpid(), "clone": clone}
        code = TRIES.format(port=server.getsockname()[1], **values)
        before = state(home)
        hostile, good = run_programs([code, GOOD], ["f", "f"])
        with pytest.raises(TimeoutError):
            server.accept()
    time.sleep(0.7)  # a daemon would have written its file by now
    signal.signal(signal.SIGUSR1, old)
    assert (hostile.status, hostile.value) == ("returned", "[]"), hostile
    assert good.value == "28"
    assert state(home) == before
    assert not signals
    assert not os.path.exists(f"/dev/shm/xlmgen-{os.getpid()}")


def test_harm_is_detected_without_sandbox(home, monkeypatch):
    """Without the sandbox, a harmless part of the above succeeds."""
    monkeypatch.setenv(sandbox.UNCONFINED, "1")
    code = "def f():\n    import os\n    return len(os.listdir({!r}))"
    assert run_program(code.format(str(home)), "f").value == "2"
    code = (
        "import os\nif os.fork() == 0: os._exit(0)\ndef f():\n    return os.wait()[1]"
    )
    outcome = run_program(code, "f")
    # Limits still hold; the kernel does not limit processes of root.
    assert outcome.value == "0" or "Resource temporarily" in outcome.error
    outcome = run_program(f"open({str(home / 'x')!r}, 'w', 1).write('x' * 9 + chr(10))")
    assert "File too large" in outcome.error
    daemon = "import os, time\nif os.fork() == 0:\n    time.sleep(60)"
    start = time.monotonic()
    run_program(daemon, limits=SHORT)
    assert time.monotonic() - start < SHORT.wall


def test_output_and_exception_are_reported():
    printed = run_program("print('hello', end='')")
    assert (printed.status, printed.output) == ("returned", "hello")
    assert (printed.value, printed.type) == ("None", "NoneType")
    raised = run_program("print('before')\n{}['key']")
    assert (raised.status, raised.error) == ("raised", "KeyError: 'key'")
    assert raised.output == "before\n"
    stopped = run_program("import os\nos._exit(7)")
    assert stopped.error == "it ended itself with exit code 7"
    assert run_program("", "missing").status == "raised"


def test_standard_library_can_be_imported():
    modules = (
        "bisect cmath collections copy datetime decimal fractions functools heapq "
        "itertools json math operator random re statistics string sys typing"
    )
    code = f"import {', '.join(modules.split())}\ndef f():\n"
    code += "    return decimal.Decimal(1) / 3 > 0 and fractions.Fraction(1, 3) > 0"
    assert run_program(code, "f").value == "True"
    assert run_program("import numpy").error.startswith("ModuleNotFoundError")


def test_no_program_runs_where_sandbox_fails(home, monkeypatch):
    shim = home / "run_program.py"
    text = sandbox.PROGRAM.read_text().replace("parents[2]", "parents[0]")
    (home / "xlmgen" / "evaluation").mkdir(parents=True)
    for folder in ("xlmgen", "xlmgen/evaluation"):
        (home / folder / "__init__.py").touch()
    confine = sandbox.PROGRAM.with_name("confine.py").read_text()
    other = confine.replace(
        "LANDLOCK_RESTRICT = 444, 445, 446", "LANDLOCK_RESTRICT = 9999, 0, 0"
    )
    assert other != confine
    (home / "xlmgen" / "evaluation" / "confine.py").write_text(other)
    shim.write_text(text)
    monkeypatch.setattr(sandbox, "PROGRAM", shim)
    with pytest.raises(UserError, match="the kernel has no Landlock") as refused:
        run_program(f"open({str(home / 'proof')!r}, 'w')")
    assert "XLMGEN_UNCONFINED=1" in refused.value.fix
    assert not (home / "proof").exists()


def test_call_numbers_equal_kernel_headers():
    """Compared with the headers, where they are installed."""
    import re
    from pathlib import Path

    path = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if not path.exists():
        pytest.skip("no kernel headers")
    numbers = dict(re.findall(r"__NR_(\w+)\s+(\d+)", path.read_text()))
    assert {
        name: str(x86) for name, (x86, _) in CALLS.items()
    }.items() <= numbers.items()
    assert not CALLS.keys() & {"socket", "clone", "fork", "execve", "kill", "unlink"}
