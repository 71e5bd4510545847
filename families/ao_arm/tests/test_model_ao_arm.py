# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Test the model's interface."""

from pathlib import Path

from xlmgen.testing import CausalModelTests, ModelTests, NextPositionTests


class TestAoArmModel(ModelTests, CausalModelTests, NextPositionTests):
    folder = Path(__file__).parents[1]
