"""Where families are found, which one wins, and how they are imported."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from xlmgen import registry
from xlmgen.errors import UserError

INIT = "FAMILY = {origin!r}\n"
DISTRIBUTION = """\
Metadata-Version: 2.1
Name: gift
Version: 1.0
"""


def make_family(folder: Path, name: str, origin: str, rendered: bool = True) -> Path:
    family = folder / name
    family.mkdir(parents=True)
    (family / "family.yaml").write_text(f"spec: xlmgen/family/v1\nname: {name}\n")
    if rendered:
        (family / "__init__.py").write_text(INIT.format(origin=origin))
    return family


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty current folder, a clean environment, and nothing imported after."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv(registry.USER_PATH, raising=False)
    monkeypatch.setenv(registry.PINNED, "")
    yield tmp_path / "here"
    for module in [m for m in sys.modules if m.startswith("xlmgen.families.")]:
        del sys.modules[module]


def named(name):
    return next((f for f in registry.find_families() if f.name == name), None)


def test_nearer_family_shadows_farther_one(here, tmp_path, monkeypatch):
    near = make_family(here / "families", "zoo", "near")
    far = make_family(tmp_path / "far", "zoo", "far")
    other = make_family(tmp_path / "far", "yak", "far")
    monkeypatch.setenv(registry.USER_PATH, str(tmp_path / "far"))
    found = named("zoo")
    assert (found.folder, found.origin) == (near, "./families")
    assert found.shadows == (far,)
    assert named("yak").folder == other
    assert named("yak").origin == "$XLMGEN_PATH"
    assert registry.load_family("zoo") == "near"
    assert registry.load_family("yak") == "far"


def test_built_in_families_are_found():
    assert {"arlm", "mdlm"} <= {family.name for family in registry.find_families()}
    assert named("arlm").origin == "built in"


def test_two_families_of_one_name_in_one_place_are_refused(tmp_path, monkeypatch):
    folders = [tmp_path / "a", tmp_path / "b"]
    families = [make_family(folder, "zoo", folder.name) for folder in folders]
    monkeypatch.setenv(registry.USER_PATH, os.pathsep.join(map(str, folders)))
    with pytest.raises(UserError) as caught:
        registry.find_families()
    assert all(str(family) in str(caught.value) for family in families)


def test_folder_under_two_names_is_found_once(here, tmp_path, monkeypatch):
    make_family(here / "families", "zoo", "here")
    (tmp_path / "link").symlink_to(here / "families")
    paths = [str(here / "families"), str(tmp_path / "link"), "families"]
    monkeypatch.setenv(registry.USER_PATH, os.pathsep.join(paths))
    assert named("zoo").shadows == ()
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "zoo").symlink_to(here / "families" / "zoo")
    monkeypatch.setenv(registry.USER_PATH, str(tmp_path / "linked"))
    assert named("zoo").shadows == ()


def test_folders_without_spec_are_not_families(here):
    make_family(here / "families", "zoo", "here")
    make_family(here / "families", ".zoo.1234", "leftover")
    (here / "families" / "notes").mkdir()
    names = {family.name for family in registry.find_families()}
    assert "zoo" in names
    assert not {".zoo.1234", "notes"} & names


def test_unknown_name_lists_existing_families():
    with pytest.raises(UserError) as caught:
        registry.load_family("mdml")
    assert "did you mean 'mdlm'?" in str(caught.value)
    assert "arlm" in str(caught.value)


def test_unrendered_family_is_refused_with_fix(here):
    make_family(here / "families", "zoo", "", rendered=False)
    with pytest.raises(UserError, match="xlmgen new"):
        registry.load_family("zoo")


def test_families_of_installed_package_are_found(tmp_path, monkeypatch):
    """Found without importing the package, which here would fail."""
    site = tmp_path / "site"
    make_family(site / "gift" / "families", "zoo", "gift")
    (site / "gift" / "__init__.py").write_text("raise RuntimeError\n")
    info = site / "gift-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(DISTRIBUTION)
    (info / "entry_points.txt").write_text("[xlmgen.families]\ngift = gift.families\n")
    monkeypatch.syspath_prepend(str(site))
    assert named("zoo").origin == "package gift"
    assert registry.load_family("zoo") == "gift"


def test_pinning_affects_running_process(here, tmp_path):
    make_family(here / "families", "zoo", "mine")
    assert registry.load_family("zoo") == "mine"
    for run in ("first", "second"):
        make_family(tmp_path / run / "families", "zoo", run)
        registry.pin(tmp_path / run / "families")
        assert registry.load_family("zoo") == run
    assert named("zoo").shadows == (
        tmp_path / "first" / "families" / "zoo",
        here / "families" / "zoo",
    )


POOL = """\
import multiprocessing, sys
from pathlib import Path
from xlmgen import registry
registry.pin(Path(sys.argv[1]))
with multiprocessing.get_context(sys.argv[2]).Pool(1) as pool:
    print(pool.apply(registry.load_family, ("zoo",)))
"""


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_subprocesses_find_pinned_families(tmp_path, method):
    """In a process of its own: a fork of this one inherits its handlers of signals."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")
    make_family(tmp_path / "run" / "families", "zoo", "pinned")
    done = subprocess.run(
        [sys.executable, "-c", POOL, str(tmp_path / "run" / "families"), method],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, "pinned\n"), done.stderr


def test_family_that_imports_what_the_runtime_lacks_is_refused_with_fix(here):
    family = make_family(here / "families", "old", "here")
    (family / "__init__.py").write_text("from xlmgen.runtime.sampling import Gone\n")
    with pytest.raises(UserError, match=r"'old' in .* does not fit .* 'Gone'") as error:
        registry.load_family("old")
    assert error.value.fix is not None
    assert "xlmgen new" in error.value.fix


def test_error_of_a_family_s_own_import_is_not_translated(here):
    family = make_family(here / "families", "own", "here")
    (family / "__init__.py").write_text("import a_package_that_is_missing\n")
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_missing"):
        registry.load_family("own")


def test_pinned_folder_is_still_found_at_its_own_place(here):
    folder = registry.find_family("mdlm").folder
    registry.pin(folder.parent)
    found = registry.find_family("mdlm", pinned=False)
    assert (found.folder, found.origin) == (folder, "built in")
