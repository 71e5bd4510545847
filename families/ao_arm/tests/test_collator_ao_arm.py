# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Test the collators' batches against their declared content."""

from pathlib import Path

from xlmgen.testing import CollatorTests, DocumentsTests, OrderingCollatorTests


class TestAoArmCollator(CollatorTests, OrderingCollatorTests, DocumentsTests):
    folder = Path(__file__).parents[1]
