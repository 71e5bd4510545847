"""Test kit: suites of pytest tests that the rendered tests of every family inherit.

A rendered test file names only its suites and the folder of its family.
"""

import pytest

pytest.register_assert_rewrite(f"{__name__}.suites")

from xlmgen.testing.suites.ancestral import AncestralTests  # noqa: E402
from xlmgen.testing.suites.any_order import AnyOrderTests  # noqa: E402
from xlmgen.testing.suites.any_order_likelihood import (  # noqa: E402
    AnyOrderLikelihoodTests,
)
from xlmgen.testing.suites.block_bound import (  # noqa: E402
    BlockBoundTests,
    BlockWeightTests,
)
from xlmgen.testing.suites.block_collator import (  # noqa: E402
    BlockMaskingCollatorTests,
)
from xlmgen.testing.suites.block_model import BlockModelTests  # noqa: E402
from xlmgen.testing.suites.block_unmasking import (  # noqa: E402
    BlockAncestralTests,
    BlockUnmaskingTests,
)
from xlmgen.testing.suites.cache import CacheTests  # noqa: E402
from xlmgen.testing.suites.causal_collator import CausalCollatorTests  # noqa: E402
from xlmgen.testing.suites.causal_model import CausalModelTests  # noqa: E402
from xlmgen.testing.suites.collator import CollatorTests  # noqa: E402
from xlmgen.testing.suites.confidence_order import ConfidenceOrderTests  # noqa: E402
from xlmgen.testing.suites.context_weight import ContextWeightTests  # noqa: E402
from xlmgen.testing.suites.documents import DocumentsTests  # noqa: E402
from xlmgen.testing.suites.dropping_collator import DroppingCollatorTests  # noqa: E402
from xlmgen.testing.suites.hybrid_bound import HybridBoundTests  # noqa: E402
from xlmgen.testing.suites.insertion import InsertionPredictorTests  # noqa: E402
from xlmgen.testing.suites.insertion_bound import InsertionBoundTests  # noqa: E402
from xlmgen.testing.suites.insertion_loss import InsertionLossTests  # noqa: E402
from xlmgen.testing.suites.learning import LearningTests  # noqa: E402
from xlmgen.testing.suites.left_to_right import LeftToRightTests  # noqa: E402
from xlmgen.testing.suites.likelihood import LikelihoodTests  # noqa: E402
from xlmgen.testing.suites.loss import LossTests  # noqa: E402
from xlmgen.testing.suites.mask_and_delete import MaskAndDeleteTests  # noqa: E402
from xlmgen.testing.suites.mask_and_insert import InsertionLawTests, MaskAndInsertTests  # noqa: E402
from xlmgen.testing.suites.mask_and_insert_bound import MaskAndInsertBoundTests  # noqa: E402
from xlmgen.testing.suites.masked_bound import (  # noqa: E402
    MaskedBoundTests,
    MaskedMinimiserTests,
    TimeWeightTests,
)
from xlmgen.testing.suites.masking_collator import (  # noqa: E402
    MaskingCollatorTests,
    ScheduledMaskingTests,
)
from xlmgen.testing.suites.model import (  # noqa: E402
    AbsolutePositionTests,
    BidirectionalModelTests,
    GapHeadTests,
    ModelTests,
    QkNormTests,
    ShiftTests,
    StopHeadTests,
    TimeModelTests,
)
from xlmgen.testing.suites.next_position import NextPositionTests  # noqa: E402
from xlmgen.testing.suites.noise_schedule import ScheduleTests  # noqa: E402
from xlmgen.testing.suites.ordering_collator import (  # noqa: E402
    OrderingCollatorTests,
)
from xlmgen.testing.suites.planning import PlanningTests  # noqa: E402
from xlmgen.testing.suites.predictor import PredictorTests  # noqa: E402
from xlmgen.testing.suites.qwen2 import Qwen2Tests  # noqa: E402
from xlmgen.testing.suites.replacing_collator import (  # noqa: E402
    ReplacingCollatorTests,
)
from xlmgen.testing.suites.resampling import (  # noqa: E402
    ResamplingLawTests,
    ResamplingTests,
)
from xlmgen.testing.suites.score_entropy import ScoreEntropyTests  # noqa: E402
from xlmgen.testing.suites.selected_tokens import SelectedTokensTests  # noqa: E402
from xlmgen.testing.suites.stable import StableTests  # noqa: E402
from xlmgen.testing.suites.state_bound import (  # noqa: E402
    StateBoundTests,
    StateEntropyTests,
)
from xlmgen.testing.suites.state_losses import (  # noqa: E402
    GeneralisedKlTests,
    NoisedTokensTests,
    PosteriorBoundTests,
    StateMinimiserTests,
)
from xlmgen.testing.suites.step_sizes import StepSizeTests  # noqa: E402
from xlmgen.testing.suites.unmasking import GuidanceTests, UnmaskingTests  # noqa: E402

__all__ = [
    "AbsolutePositionTests",
    "AncestralTests",
    "AnyOrderLikelihoodTests",
    "AnyOrderTests",
    "BidirectionalModelTests",
    "BlockAncestralTests",
    "BlockBoundTests",
    "BlockMaskingCollatorTests",
    "BlockModelTests",
    "BlockUnmaskingTests",
    "BlockWeightTests",
    "CacheTests",
    "CausalCollatorTests",
    "CausalModelTests",
    "CollatorTests",
    "ConfidenceOrderTests",
    "ContextWeightTests",
    "DocumentsTests",
    "DroppingCollatorTests",
    "GapHeadTests",
    "GeneralisedKlTests",
    "GuidanceTests",
    "HybridBoundTests",
    "InsertionBoundTests",
    "InsertionLawTests",
    "InsertionLossTests",
    "InsertionPredictorTests",
    "LearningTests",
    "LeftToRightTests",
    "LikelihoodTests",
    "LossTests",
    "MaskAndDeleteTests",
    "MaskAndInsertBoundTests",
    "MaskAndInsertTests",
    "MaskedBoundTests",
    "MaskedMinimiserTests",
    "MaskingCollatorTests",
    "ModelTests",
    "NextPositionTests",
    "NoisedTokensTests",
    "OrderingCollatorTests",
    "PlanningTests",
    "PosteriorBoundTests",
    "PredictorTests",
    "QkNormTests",
    "Qwen2Tests",
    "ReplacingCollatorTests",
    "ResamplingLawTests",
    "ResamplingTests",
    "ScheduleTests",
    "ScheduledMaskingTests",
    "ScoreEntropyTests",
    "SelectedTokensTests",
    "ShiftTests",
    "StableTests",
    "StateBoundTests",
    "StateEntropyTests",
    "StateMinimiserTests",
    "StepSizeTests",
    "StopHeadTests",
    "TimeModelTests",
    "TimeWeightTests",
    "UnmaskingTests",
]
