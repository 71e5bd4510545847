"""What every collator promises."""

from __future__ import annotations

from xlmgen.testing.subject import FamilyTests


class CollatorTests(FamilyTests):
    def test_family_collates_for_training_and_for_generation(self) -> None:
        uses = set(self.family.collators)
        assert uses & {"lm", "seq2seq", "infill"}
        assert uses & {"predict", "predict_infill", "unconditional"}


class CausalCollatorTests(FamilyTests):
    pass


class MaskingCollatorTests(FamilyTests):
    pass


class ScheduledMaskingTests(FamilyTests):
    pass
