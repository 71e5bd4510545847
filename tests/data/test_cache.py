"""The cache: no incomplete, stale or foreign entries."""

import errno
import json
import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import yaml

from xlmgen import resources
from xlmgen.data import cache, digests
from xlmgen.data.task import load_task
from xlmgen.errors import UserError
from xlmgen.io import manifest


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XLMGEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Builder:
    """Builder of one file that counts its calls."""

    def __init__(self, content="hello"):
        self.content = content
        self.calls = 0

    def __call__(self, folder):
        self.calls += 1
        (folder / "a.txt").write_text(self.content)


def test_entry_is_built_once(own_cache):
    build = Builder()
    first = cache.entry({"x": 1, "y": 2}, build)
    second = cache.entry({"y": 2, "x": 1}, build)
    assert first == second
    assert (first / "a.txt").read_text() == "hello"
    assert build.calls == 1
    assert cache.entry({"x": 1, "y": 3}, build) != first
    assert sorted(own_cache.iterdir()) == sorted(p for p in own_cache.iterdir())
    assert not list(own_cache.glob(".*"))  # no drafts left


def cut(folder):
    (folder / "a.txt").write_text("hell")


def change(folder):
    (folder / "a.txt").write_text("jello")  # of the same size


def remove(folder):
    (folder / "a.txt").unlink()


def add(folder):
    (folder / "b.txt").write_text("")


def remove_manifest(folder):
    (folder / "manifest.json").unlink()


def garble(folder):
    (folder / "manifest.json").write_text("[1")


def relabel(folder):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"key": "other"}))


def misuse(folder):
    (folder / "manifest.json").write_text('{"files": []}')


@pytest.mark.parametrize(
    "damage", [cut, change, remove, add, remove_manifest, garble, relabel, misuse]
)
def test_damaged_entry_is_built_again(damage, own_cache):
    build = Builder()
    folder = cache.entry({"x": 1}, build)
    damage(folder)
    assert cache.entry({"x": 1}, build) == folder
    assert build.calls == 2
    assert (folder / "a.txt").read_text() == "hello"
    assert sorted(p.name for p in folder.iterdir()) == ["a.txt", "manifest.json"]
    assert not list(own_cache.glob(".*"))


def test_failed_build_leaves_no_files(own_cache):
    def build(folder):
        (folder / "a.txt").write_text("half")
        raise UserError("no")

    with pytest.raises(UserError, match="no"):
        cache.entry({"x": 1}, build)
    assert list(own_cache.iterdir()) == []


def test_unwritable_cache_is_reported(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XLMGEN_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UserError, match="set XLMGEN_CACHE"):
        cache.entry({"x": 1}, Builder())


def test_cache_location(monkeypatch, tmp_path):
    monkeypatch.setenv("XLMGEN_CACHE", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert resources.cache_root() == Path("/a")
    monkeypatch.delenv("XLMGEN_CACHE")
    assert resources.cache_root() == Path("/b/xlmgen")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resources.cache_root() == tmp_path / ".cache" / "xlmgen"


def slow_build(folder):
    with (folder.parent.parent / "builds").open("a") as builds:
        builds.write("x")
    (folder / "a.txt").write_text("he")
    time.sleep(0.2)
    (folder / "a.txt").write_text("hello")


def ask(results):
    results.put((cache.entry({"x": 1}, slow_build) / "a.txt").read_text())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_concurrent_processes_build_once(own_cache):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [context.Process(target=ask, args=(results,)) for _ in range(4)]
    for process in processes:
        process.start()
    answers = [results.get(timeout=30) for _ in processes]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert answers == ["hello"] * 4
    assert len(list(own_cache.iterdir())) == 1
    assert (own_cache.parent / "builds").read_text() == "x"  # the others waited


def test_removed_lock_file_does_not_break_exclusion(own_cache):
    """A process that waits for a removed lock file must see the new lock."""
    own_cache.mkdir()
    inside, most = [], []

    def work(number):
        for _ in range(5):
            with cache._entry_lock(own_cache / "a") as exclusive:
                assert exclusive
                inside.append(number)
                most.append(len(inside))
                time.sleep(0.002)
                inside.remove(number)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert most == [1] * 30
    assert list(own_cache.iterdir()) == []


def build_and_hang(folder):
    (folder / "a.txt").write_text("he")
    time.sleep(60)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_killed_process_releases_its_lock(own_cache):
    process = multiprocessing.get_context("fork").Process(
        target=cache.entry, args=({"x": 1}, build_and_hang)
    )
    process.start()
    while not list(own_cache.glob(".draft-*/a.txt")):
        time.sleep(0.01)
    (draft,) = [found for found in cache.entries() if found.what == "unfinished"]
    assert not cache.remove(draft)  # a process is building it
    process.kill()
    process.join()
    build = Builder()
    assert (cache.entry({"x": 1}, build) / "a.txt").read_text() == "hello"
    assert build.calls == 1
    assert len(list(own_cache.iterdir())) == 1


def test_without_locks_both_build_and_one_result_is_kept(own_cache, monkeypatch):
    def unsupported(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", unsupported)

    def build(folder):
        if not (own_cache / "second").exists():
            (own_cache / "second").touch()
            cache.entry({"x": 1}, Builder("hello"))
        (folder / "a.txt").write_text("hello")

    assert (cache.entry({"x": 1}, build) / "a.txt").read_text() == "hello"
    assert not list(own_cache.glob(".*"))


@pytest.fixture
def reads(monkeypatch):
    """Treat every file as large, and record the names of the files that are hashed."""
    names = []

    def read(path):
        names.append(path.name)
        return file_digest(path)

    file_digest = manifest.file_digest
    for module in (digests, cache):
        monkeypatch.setattr(module, "LARGE", 1)
    monkeypatch.setattr(cache, "file_digest", read)
    monkeypatch.setattr(manifest, "file_digest", read)
    return names


def test_large_entry_file_is_hashed_again_only_when_touched(reads):
    build = Builder()
    folder = cache.entry({"x": 1}, build)
    reads.clear()
    cache.entry({"x": 1}, build)
    assert reads == []
    os.utime(folder / "a.txt", (1, 1))  # as in a copy of the cache
    cache.entry({"x": 1}, build)
    cache.entry({"x": 1}, build)
    assert reads == ["a.txt"]
    (folder / "a.txt").write_text("jello")
    os.utime(folder / "a.txt", (2, 2))
    cache.entry({"x": 1}, build)
    assert build.calls == 2


def test_large_source_is_hashed_once(reads, tmp_path, own_cache):
    path = tmp_path / "big.txt"
    path.write_text("hello")
    first = digests.file_digest(path)
    digests.file_digest(path)
    assert reads == ["big.txt"] * 2  # it was written just now
    reads.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digests, "SETTLED", -(10**18))
        digests.file_digest(path)
    assert [digests.file_digest(path) for _ in range(3)] == [first] * 3
    assert reads == ["big.txt"]
    stamp = path.stat().st_mtime_ns
    path.write_text("jello")
    os.utime(path, ns=(stamp, stamp))  # its ctime differs
    assert digests.file_digest(path) != first


# What a task keeps in it


TASK = {
    "spec": "xlmgen/task/v1",
    "name": "notes",
    "layout": "lm",
    "max_length": {"length": 40},
    "source": {"files": {"train": "a.txt", "validation": "b.txt", "test": "b.txt"}},
    "tokenizer": {"kind": "character"},
}


@pytest.fixture
def ids(tmp_path):
    """Train ids of a task with some keys changed."""
    (tmp_path / "a.txt").write_text("abc\ncab")
    (tmp_path / "b.txt").write_text("b")

    def load(**changes):
        (tmp_path / "t.yaml").write_text(yaml.safe_dump(TASK | changes))
        task = load_task(tmp_path / "t.yaml")
        return [example["tokens"].tolist() for example in task.examples("train")]

    return load


def test_changed_data_changes_ids(ids, tmp_path):
    assert ids() == [[5, 6, 7], [7, 5, 6]]
    (tmp_path / "a.txt").write_text("Abc\ncab")  # of the same size
    assert ids() == [[5, 7, 8], [8, 6, 7]]
    (tmp_path / "a.txt").write_text("abc\ncab")
    assert ids() == [[5, 6, 7], [7, 5, 6]]


def test_changed_tokenizer_changes_ids(ids, tmp_path):
    assert ids() == [[5, 6, 7], [7, 5, 6]]
    assert ids(tokenizer={"kind": "byte"})[0] == [102, 103, 104]
    words = {"kind": "vocabulary", "tokens": ["cab", "b", "abc"]}
    assert ids(tokenizer=words) == [[7], [5]]
    words["tokens"].reverse()
    assert ids(tokenizer=words) == [[5], [7]]


def test_changed_tokenizer_file_changes_ids(ids, tmp_path):
    from xlmgen.data.tokenizer_kinds import characters

    characters("abc").save(tmp_path / "tokenizer.json")
    file = {"kind": "file", "path": "tokenizer.json"}
    assert ids(tokenizer=file)[0] == [5, 6, 7]
    characters("cba").save(tmp_path / "tokenizer.json")
    assert ids(tokenizer=file)[0] == [7, 6, 5]


def test_changed_reader_settings_change_ids(ids):
    assert len(ids()) == 2
    source = TASK["source"]
    assert ids(source=source | {"unit": "file"}) == [[6, 7, 8, 5, 8, 6, 7]]
    assert len(ids(source=source | {"unit": "line"})) == 2


def test_changed_splits_change_ids(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(f"{i}" for i in range(40)))
    tests = []
    for seed in (0, 1, 0):
        source = {"files": {"train": "a.txt"}, "seed": seed}
        task = TASK | {"source": source, "tokenizer": {"kind": "byte"}}
        (tmp_path / "t.yaml").write_text(yaml.safe_dump(task))
        examples = load_task(tmp_path / "t.yaml").examples("test")
        tests.append([e["tokens"].tolist() for e in examples])
    assert tests[0] == tests[2] != tests[1]


def test_max_length_and_overflow_share_one_entry(ids, own_cache):
    ids()
    entries = len(list(own_cache.iterdir()))
    assert ids(max_length={"length": 4}, overflow="truncate") == [[5, 6], [7, 5]]
    assert len(list(own_cache.iterdir())) == entries


def test_generated_examples_are_cached_and_repaired(own_cache):
    first = load_task("star_tiny").examples("test")[0]["prompt"].tolist()
    (file,) = own_cache.glob("*/test.prompt.ids.npy")
    stamp = file.stat().st_mtime_ns
    load_task("star_tiny").examples("test")
    assert file.stat().st_mtime_ns == stamp
    broken = np.load(file)
    np.save(file, np.zeros_like(broken))
    assert load_task("star_tiny").examples("test")[0]["prompt"].tolist() == first
