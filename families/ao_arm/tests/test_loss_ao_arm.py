# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Test the loss against exact values."""

from pathlib import Path

from xlmgen.testing import AnyOrderLikelihoodTests, LossTests


class TestAoArmLoss(LossTests, AnyOrderLikelihoodTests):
    folder = Path(__file__).parents[1]
