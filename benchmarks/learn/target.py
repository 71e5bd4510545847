"""The value of a validation's metric that a run is to reach."""

from dataclasses import dataclass

FALLING = ("loss", "nll", "perplexity")
"""Words in the names of metrics that are better the smaller they are."""


def falls(metric: str) -> bool:
    """Whether smaller values of a metric are better."""
    return any(word in metric for word in FALLING)


@dataclass(frozen=True)
class Target:
    """A value of a metric, as `metrics.csv` calls it."""

    metric: str
    value: float

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Read `val/exact_match=0.95`.

        Raises:
            ValueError: the text is not of that form.
        """
        metric, separator, value = text.partition("=")
        if not separator or not metric.startswith("val/"):
            raise ValueError(f"'{text}' is not METRIC=VALUE with a metric val/…")
        return cls(metric, float(value))

    @property
    def falls(self) -> bool:
        """Whether smaller values are better."""
        return falls(self.metric)

    def is_reached(self, value: float) -> bool:
        """NaN reaches nothing."""
        return value <= self.value if self.falls else value >= self.value

    def __str__(self) -> str:
        return f"{self.metric} {'≤' if self.falls else '≥'} {self.value:g}"
