"""Classify changes of specs and templates against a commit.

The code of neither side is run, and torch is imported only in a subprocess.
"""

from xlmgen.review.classes import Class
from xlmgen.review.compare import Review, review
from xlmgen.review.item import Item
from xlmgen.review.network import Measure

__all__ = ["Class", "Item", "Measure", "Review", "review"]
