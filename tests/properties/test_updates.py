"""An update keeps every line that a user added."""

import shutil
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from xlmgen.errors import UserError
from xlmgen.render import render
from xlmgen.render.apply import write
from xlmgen.render.changes import State, changes
from xlmgen.render.plan import LOCK, SPEC
from xlmgen.render.transaction import exclusive
from xlmgen.render.update import updates
from xlmgen.spec.family import family_spec
from xlmgen.spec.schemas import built_in
from xlmgen.testing.combinations import Combinations

from .conftest import few

FOLDER = Path("sample")
ENDS = ("\n", "\n", "\r\n", "\r", "")
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\n\0")


@cache
def renders() -> list[dict[str, str]]:
    """Render one family from specs of many kinds."""
    found = Combinations(built_in(), each=10, seed=1).valid(each=2)
    specs = [family_spec(each.document("sample")) for each in found[::4]]
    return [render(spec) for spec in specs]


@st.composite
def edited(draw, text: str, number: int) -> tuple[str, list[str]]:
    """Draw a text with removed and added lines, and return the added lines."""
    lines, added = text.splitlines(keepends=True), []
    for edit in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(lines)))
        stop = min(len(lines), at + draw(st.integers(0, 3)))
        mine = [
            f"{draw(st.text(CHARACTERS, max_size=9))} mine {number}.{edit}.{line}"
            for line in range(draw(st.integers(0, 2)))
        ]
        added += mine
        lines[at:stop] = [line + draw(st.sampled_from(ENDS)) for line in mine]
    text = "".join(lines)
    match draw(st.integers(0, 5)):
        case 0:
            text = text.replace("\r\n", "\n").replace("\n", "\r\n")
        case 1:
            text = text.removesuffix("\n")
    return text, [line for line in added if line in text]


def on_disk() -> dict[str, bytes]:
    return {
        path.relative_to(FOLDER).as_posix(): path.read_bytes()
        for path in FOLDER.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
@few(25)
@given(data=st.data())
def test_no_line_of_user_is_lost(here, data):
    shutil.rmtree(FOLDER, ignore_errors=True)
    specs = st.integers(0, len(renders()) - 1)
    before, *later = (
        renders()[index] for index in data.draw(st.lists(specs, min_size=2, max_size=3))
    )
    with exclusive(FOLDER):
        write(FOLDER, changes(FOLDER, before))
    paths = [path for path in before if path not in (SPEC, LOCK)]
    picked = data.draw(st.lists(st.sampled_from(paths), max_size=5, unique=True))
    added: dict[str, list[str]] = {}
    deleted = set()
    for number, path in enumerate(picked):
        if data.draw(st.integers(0, 5)) == 0:
            (FOLDER / path).unlink()
            deleted.add(path)
        else:
            text, added[path] = data.draw(edited(before[path], number))
            (FOLDER / path).write_bytes(text.encode())
    own = {"notes.md": b"mine \xff\r\n", "tests/test_mine.py": b"mine\n"}
    for path, content in own.items():
        (FOLDER / path).write_bytes(content)
    note((added, deleted))
    for now in later:
        (FOLDER / SPEC).write_bytes(now[SPEC].encode())
        left = on_disk()
        try:
            with exclusive(FOLDER):
                planned = updates(FOLDER, now)
                write(FOLDER, planned)
        except UserError:  # a conflict of the update before, or a text git cannot read
            assert on_disk() == left
            return
        found = on_disk()
        assert own.items() <= found.items()
        assert not deleted & found.keys()
        states = {change.path: change.state for change in planned}
        for path, text in now.items():
            if path not in deleted and path not in added:
                assert found[path] == text.encode()
        for path, lines in added.items():
            if lines:  # an edit that takes nothing but lines away may be the render's
                text = found[path].decode()
                assert all(text.count(line) >= 1 for line in lines)
                marked = "<<<<<<< yours" in text
                assert marked == (states.get(path) is State.CONFLICT)
        with exclusive(FOLDER):
            again = (
                updates(FOLDER, now) if State.CONFLICT not in states.values() else []
            )
        assert all(change.old == change.new for change in again)
