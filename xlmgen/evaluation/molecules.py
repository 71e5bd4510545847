"""Metrics of molecules: validity, uniqueness, novelty, QED and SA."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from statistics import fmean
from typing import Any

from xlmgen.errors import UserError
from xlmgen.evaluation.samples import Samples

Canonical = Callable[[str], str | None]


def require() -> None:
    """Raise a `UserError` where rdkit is not installed."""
    _Chemistry()


def molecules(samples: Samples) -> dict[str, float]:
    """Validity, uniqueness, novelty, and means of QED and SA over the valid samples.

    A sample is SMILES, or SAFE, which is SMILES split into fragments.

    Raises:
        UserError: rdkit is not installed.
    """
    chemistry = _Chemistry()
    names = [chemistry.canonical(text) for text in samples.texts]
    found = shares(names, {chemistry.canonical(text) for text in samples.train_texts})
    valid = [name for name in names if name is not None]
    return found | {
        "qed": fmean(map(chemistry.qed, valid)) if valid else math.nan,
        "sa": fmean(map(chemistry.sa, valid)) if valid else math.nan,
    }


def shares(names: Sequence[str | None], known: set[str | None]) -> dict[str, float]:
    """Validity, uniqueness and novelty from the canonical names of all samples.

    Args:
        names: canonical SMILES; None for an invalid sample.
        known: canonical SMILES of the train split.
    """
    valid = [name for name in names if name is not None]
    different = set(valid)
    new = different - known
    return {
        "valid": len(valid) / len(names),
        "unique": len(different) / len(valid) if valid else 0.0,
        "novel": len(new) / len(different) if different else 0.0,
        "valid_unique_novel": len(new) / len(names),
    }


class _Chemistry:
    """Cached rdkit functions of SMILES."""

    def __init__(self) -> None:
        try:
            from rdkit import Chem, rdBase
            from rdkit.Chem import QED
            from rdkit.Contrib.SA_Score import sascorer
        except ImportError as error:
            raise UserError(
                f"the metric molecules needs the package rdkit ({error})",
                "pip install 'xlmgen[molecules]'",
            ) from error

        rdBase.DisableLog("rdApp.*")  # it logs a line for every invalid sample
        plain = _plain(Chem)

        def canonical(text: str) -> str | None:
            molecule = Chem.MolFromSmiles(text, plain)
            if molecule is None or not molecule.GetNumAtoms():
                return None
            name: str = Chem.MolToSmiles(molecule)
            return name if Chem.MolFromSmiles(name) else None

        qed: Any = QED.qed

        def molecule(name: str) -> Any:
            return Chem.MolFromSmiles(name)

        self.canonical: Canonical = cache(canonical)
        self.qed: Callable[[str], float] = cache(lambda name: qed(molecule(name)))
        self.sa: Callable[[str], float] = cache(
            lambda name: sascorer.calculateScore(molecule(name))
        )


def _plain(chem: Any) -> Any:
    """Parser parameters under which the entire text must be SMILES: no name, no CX."""
    options = chem.SmilesParserParams()
    options.parseName = False
    options.allowCXSMILES = False
    return options
