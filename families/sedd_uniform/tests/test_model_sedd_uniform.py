# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Test the model's interface."""

from pathlib import Path

from xlmgen.testing import BidirectionalModelTests, ModelTests, TimeModelTests


class TestSeddUniformModel(ModelTests, BidirectionalModelTests, TimeModelTests):
    folder = Path(__file__).parents[1]
