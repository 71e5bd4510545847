# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Test the loss against exact values."""

from pathlib import Path

from xlmgen.testing import InsertionBoundTests, InsertionLossTests, LossTests


class TestIlmLoss(InsertionLossTests, LossTests, InsertionBoundTests):
    folder = Path(__file__).parents[1]
