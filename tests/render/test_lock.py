"""Locks have every file's text, and modified locks are refused."""

import base64
import bz2
import hashlib
import json

import pytest

from xlmgen.render.lock import LockError, is_inside, lock_text, parse_lock

FILES = {"loss_x.py": "a = 1\n", "tests/test_x.py": "é\n", "family.yaml": "name: x\n"}


def test_parsed_lock_equals_original():
    text = lock_text("name: x\n", FILES)
    assert parse_lock(text).pristine == FILES
    assert lock_text("name: x\n", dict(reversed(FILES.items()))) == text
    assert max(map(len, json.loads(text)["pristine"])) <= 76
    hashes = json.loads(text)["files"]
    assert hashes["loss_x.py"] == hashlib.sha256(b"a = 1\n").hexdigest()


def forged(pristine, files=None):
    """Make a well-formed lock of any content."""
    content = json.dumps(pristine).encode()
    if files is None:
        files = {
            path: hashlib.sha256(text.encode()).hexdigest()
            for path, text in pristine.items()
        }
    packed = base64.b64encode(bz2.compress(content)).decode()
    lock = {"lock": "xlmgen/lock/v1", "xlmgen": "0", "spec": "", "files": files}
    return json.dumps(lock | {"pristine": [packed]})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        "[" * 100_000,
        json.dumps({"lock": "xlmgen/lock/v2"}),
        lock_text("", FILES).replace("loss_x", "lost_x", 1),
        lock_text("", FILES)[:-40],
        forged({"a": "b"}, files={}),
        forged({"a": 1}, files={}),
        forged({"../outside.py": "x"}),
        forged({"/etc/passwd": "x"}),
        forged({"a/../../b": "x"}),
        forged({"C:\\x": "x"}),
        forged({"a": "x" * 21_000_000}),
    ],
    ids=range(15),
)
def test_invalid_lock_is_refused(text):
    with pytest.raises(LockError):
        parse_lock(text)


def test_paths_inside_folder():
    assert is_inside("a.py")
    assert is_inside("tests/a.py")
    assert not any(
        map(is_inside, ["", ".", "..", "/a", "a/../b", "a\\b", "C:a", "a\0"])
    )
