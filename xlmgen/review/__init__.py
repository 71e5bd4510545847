"""What a change of specs and templates means: compared with a commit, without torch."""

from xlmgen.review.classes import Class, Measure
from xlmgen.review.compare import Item, Review, review

__all__ = ["Class", "Item", "Measure", "Review", "review"]
