# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Holds the loss to exact answers."""

from pathlib import Path

from xlmgen.testing import LossTests, SelectedTokensTests


class TestMlmLoss(LossTests, SelectedTokensTests):
    folder = Path(__file__).parents[1]
