"""Molecules and proteins: shares over all samples, and published values."""

import math
import sys

import pytest

from xlmgen.errors import UserError
from xlmgen.evaluation.molecules import shares
from xlmgen.evaluation.proteins import TRAIN_ROWS
from xlmgen.evaluation.samples import Samples, describe


def samples(*texts, train=()):
    """Samples whose ids are their texts."""
    return Samples(texts, str, lambda rows: train[:rows])


def test_shares_are_over_all_samples():
    found = shares(["A", "A", "B", "C", None, None, None, None], {"C", "D", None})
    assert found == {
        "valid": 4 / 8,
        "unique": 3 / 4,
        "novel": 2 / 3,
        "valid_unique_novel": 2 / 8,
    }
    assert set(shares([None, None], {None}).values()) == {0.0}
    assert shares(["A"], set())["valid_unique_novel"] == 1


def test_different_smiles_of_one_molecule_are_equal():
    pytest.importorskip("rdkit")
    found = describe(
        samples(
            "CCO", "OCC", "C3C.O3",  # ethanol three times, the last as SAFE
            "c1ccccc1", "C1=CC=CC=C1",  # benzene
            "N", "", "C(", "F[Cl](F)F", "CC O", "C name", "C |$x$|",
            train=["C1=CC=CC=C1", "not one", ""],
        ),
        ["molecules"],
    )  # fmt: skip
    assert found["valid"] == 6 / 12
    assert found["unique"] == 3 / 6
    assert found["novel"] == 2 / 3  # all but benzene
    assert found["valid_unique_novel"] == 2 / 12


@pytest.mark.parametrize(
    ("smiles", "qed", "sa"),
    [  # as commonly quoted
        ("CC(=O)Oc1ccccc1C(=O)O", 0.550, 1.58),  # aspirin
        ("CN1C=NC2=C1C(=O)N(C(=O)N2C)C", 0.538, 2.30),  # caffeine
        ("c1ccccc1", 0.443, 1.0),
    ],
)
def test_qed_and_sa_equal_published_values(smiles, qed, sa):
    pytest.importorskip("rdkit")
    found = describe(samples(smiles, smiles, "none"), ["molecules"])
    assert found["qed"] == pytest.approx(qed, abs=1e-3)
    assert found["sa"] == pytest.approx(sa, abs=1e-2)


def test_means_without_valid_molecules_are_nan(capfd):
    pytest.importorskip("rdkit")
    found = describe(samples("C(", "", train=["C"]), ["molecules"])
    assert math.isnan(found["qed"])
    assert math.isnan(found["sa"])
    assert found["valid_unique_novel"] == 0
    assert "".join(capfd.readouterr()) == ""


def test_missing_rdkit_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(UserError, match=r"rdkit.*xlmgen\[molecules\]"):
        describe(samples("C"), ["molecules"])


def test_proteins_with_other_letters_are_invalid():
    found = describe(
        samples("MKV", "MXV", "mkv", "MK V", "", "M1", train=["MKV"]), ["proteins"]
    )
    assert found["valid_letters"] == 2 / 6
    assert found["standard_letters"] == 1 / 6


def test_composition_is_compared_with_train_split():
    train = ["A" * 80, "C" * 100]
    found = describe(samples("AAA", "C", train=train), ["proteins"])
    # 3/4 and 1/4 against 81 and 101 of 180 + 20
    expected = 0.75 * math.log(0.75 / (81 / 200)) + 0.25 * math.log(0.25 / (101 / 200))
    assert found["composition_kl"] == pytest.approx(expected)
    same = describe(samples(*(train * 9), train=train * 900), ["proteins"])
    assert 0 <= same["composition_kl"] < 1e-3
    other = describe(samples("W", train=train), ["proteins"])
    assert other["composition_kl"] == pytest.approx(math.log(200))
    assert math.isnan(describe(samples("", "x"), ["proteins"])["composition_kl"])
    asked = []
    some = Samples(["A"], str, lambda rows: asked.append(rows) or ["A"])
    describe(some, ["proteins"])
    assert asked == [TRAIN_ROWS]
