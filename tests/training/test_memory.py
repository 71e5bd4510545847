"""Memory that was freed is there for the next tensor."""

import subprocess
import sys

import pytest

from xlmgen.training import memory

FAULTS = """
import ctypes, resource, sys
from xlmgen.training.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
malloc, free = ctypes.CDLL(None).malloc, ctypes.CDLL(None).free
malloc.restype, free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
malloc.argtypes = [ctypes.c_size_t]
size = 2**26
def use():
    piece = malloc(size)
    ctypes.memset(piece, 1, size)
    free(piece)
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
use()
after = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print((after - before) * resource.getpagesize() / size)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_freed_memory_is_not_asked_for_again():
    """In processes of their own: it cannot be taken back."""
    shares = {}
    for how in ("keep", "leave"):
        command = [sys.executable, "-c", FAULTS, how]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        shares[how] = float(done.stdout)
    assert shares["keep"] < shares["leave"] / 10


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: object())
    memory.keep_freed_memory()
