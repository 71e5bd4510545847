"""Paths as messages show them."""

from pathlib import Path

from xlmgen.files import without_parents


def test_a_path_loses_its_parents_where_it_stays_the_same_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "far" / "inner").mkdir(parents=True)
    (tmp_path / "far" / "a").touch()
    (tmp_path / "link").symlink_to("far/inner")
    assert without_parents(Path("far/inner/../a")) == Path("far/a")
    assert without_parents(Path("none/../b")) == Path("b")
    assert without_parents(Path("link/../a")) == Path("link/../a")  # not ./a
