"""Sampling of tokens, and selection of positions."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from xlmgen.errors import UserError

__all__ = [
    "TokenSampler",
    "add_gumbel",
    "categorical",
    "check_rows",
    "entropy",
    "even_split",
    "exclude",
    "geometric_shares",
    "keep_top_k",
    "keep_top_p",
    "log_margin",
    "log_top_prob",
    "negative_entropy",
    "number_due",
    "ranks",
    "round_at_random",
    "spread",
    "temper",
    "uniform",
    "wide",
    "within_entropy_bound",
]

RATED = 2**21
"""Most log-probabilities rated at once."""

DIVERGED = (
    "the network has diverged or its precision is too narrow; take an earlier "
    "checkpoint, or train with training.precision=32-true"
)
"""Advice for a network whose outputs are not finite."""


def uniform(
    shape: Sequence[int] | torch.Size,
    device: torch.device,
    generator: torch.Generator | None,
) -> Tensor:
    """Float64 draws from [0, 1)."""
    return torch.rand(
        tuple(shape), dtype=torch.float64, device=device, generator=generator
    )


def categorical(log_probs: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw one index per row, by inversion of the cumulative distribution.

    Cumulative sums and draws are in float64: in float32 tokens rarer than one in 10⁷
    would never be drawn, which lowers the entropy of the samples, as Gumbel noise in
    float32 does (Zheng et al. 2024, arXiv:2409.02908). The probabilities themselves are
    as precise as the logits.

    Args:
        log_probs: (…, V), normalised or not.

    Returns:
        (…,) int64

    Raises:
        UserError: a row is NaN or excludes every index.
    """
    log_probs = wide(log_probs)
    largest = check_rows(log_probs.amax(-1, keepdim=True))
    weights = (log_probs - largest).exp_()
    sums = weights.cumsum(-1, dtype=torch.float64)
    total = sums[..., -1:]
    draws = total * uniform(total.shape, total.device, generator)  # less than the total
    return torch.searchsorted(sums, draws, right=True).squeeze(-1)


def check_rows(largest: Tensor) -> Tensor:
    """Check the largest logit of every row, and return it.

    Raises:
        UserError: one is NaN, +∞, or −∞, which means that its row excludes every id.
    """
    if not largest.isfinite().all():
        number = int((~largest.isfinite()).sum())
        raise UserError(
            f"cannot sample: of {largest.numel()} rows of logits {number} have NaN or "
            "infinity, or exclude every token",
            DIVERGED,
        )
    return largest


def wide(x: Tensor) -> Tensor:
    """Convert 16-bit floats to float32; others are unchanged."""
    return x if x.dtype == torch.float64 else x.float()


def exclude(logits: Tensor, ids: Iterable[int]) -> Tensor:
    """Set the logits of these ids to −∞. (…, V) → (…, V)"""
    logits = logits.clone()
    for (
        token
    ) in ids:  # one by one: indexing with a list would synchronise with the device
        logits[..., token] = -torch.inf
    return logits


def temper(logits: Tensor, temperature: float) -> Tensor:
    """Subtract the largest logit of each row and divide by a temperature > 0.

    All differences are ≤ 0, so a small temperature cannot overflow to +∞: the largest
    stays 0 and −∞ stays −∞. (…, V) → (…, V)
    """
    limits = torch.finfo(logits.dtype)  # the inverse of a number within them is finite
    difference = logits - logits.amax(-1, keepdim=True)
    return difference.div_(min(max(temperature, limits.tiny), limits.max))


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Set all but the k largest logits of every row to −∞. (N, V) → (N, V)"""
    kth = logits.topk(min(k, logits.shape[-1])).values[..., -1:]
    return logits.masked_fill(logits < kth, -torch.inf)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Nucleus (Holtzman et al. 2020): keep the smallest set whose mass reaches p.

    The token that crosses p stays in. (N, V) → (N, V)
    """
    sorted_logits, order = logits.sort(dim=-1, descending=True, stable=True)
    probs = sorted_logits.softmax(-1, dtype=torch.float64)
    mass_before = probs.cumsum(-1) - probs
    dropped = torch.empty_like(mass_before, dtype=torch.bool)
    dropped.scatter_(-1, order, mass_before >= p)
    return logits.masked_fill(dropped, -torch.inf)


@dataclass(frozen=True)
class TokenSampler:
    """Sampler of one token for every row of logits.

    Args:
        suppress_tokens: ids that are not generated; EOS must not be among them.
        temperature: divides the logits; 0 takes the most likely token.
        top_k: draw from the k most likely tokens only.
        top_p: draw from the smallest set of tokens whose mass reaches p.
    """

    suppress_tokens: tuple[int, ...] = ()
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def allowed(self, logits: Tensor) -> Tensor:
        """Float64 log-probabilities over the ids that may be generated. (N, V)

        Raises:
            UserError: a row is NaN or excludes every id.
        """
        logits = exclude(logits.double(), self.suppress_tokens)
        check_rows(logits.amax(-1))
        return logits.log_softmax(-1)

    def shape(self, logits: Tensor) -> Tensor:
        """Logits to sample from, after temperature, top-k and top-p. (N, V)

        A temperature of 0 is ignored here.
        """
        logits = exclude(wide(logits), self.suppress_tokens)
        if self.temperature not in (0, 1):
            logits = temper(logits, self.temperature)
        if self.top_k is not None:
            logits = keep_top_k(logits, self.top_k)
        if self.top_p is not None:
            logits = keep_top_p(logits, self.top_p)
        return logits

    def rate(
        self,
        logits: Tensor,
        rating: Callable[[Tensor], Tensor],
        *,
        shaped: bool = False,
    ) -> Tensor:
        """Rate every row of logits, a chunk of rows at a time.

        Chunks bound the memory: float64 log-probabilities of all rows would take
        several times that of the logits.

        Args:
            logits: (N, V).
            rating: function of normalised log-probabilities (n, V), such as
                `log_top_prob`.
            shaped: rate the distribution that tokens are drawn from (`shape`) instead
                of the model's own.

        Returns:
            (N,) float64
        """

        def rate_chunk(chunk: Tensor) -> Tensor:
            return rating(self.allowed(self.shape(chunk) if shaped else chunk))

        return torch.cat([rate_chunk(logits[some]) for some in _chunks(logits)])

    def log_prob(self, logits: Tensor, tokens: Tensor) -> Tensor:
        """Log-probabilities of tokens in the model's own distribution, in chunks.

        Args:
            logits: (N, V).
            tokens: (N,).

        Returns:
            (N,) float64, −∞ for an id that may not be generated.
        """
        size = max(1, RATED // logits.shape[-1])
        starts = range(0, max(1, len(logits)), size)
        ids = tokens[:, None]
        return torch.cat(
            [
                self.allowed(logits[i : i + size]).gather(1, ids[i : i + size])[:, 0]
                for i in starts
            ]
        )

    def __call__(
        self, logits: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Args: logits (N, V). Returns: (N,) int64

        Raises:
            UserError: a row is NaN or excludes every id.
        """
        if self.temperature == 0:
            return self.best(logits)
        return categorical(self.shape(logits), generator)

    def best(self, logits: Tensor) -> Tensor:
        """The most likely token of every row. (N, V) → (N,) int64

        Raises:
            UserError: a row is NaN or excludes every id.
        """
        largest, token = exclude(wide(logits), self.suppress_tokens).max(-1)
        check_rows(largest)
        return token

    def probability(self, logits: Tensor, tokens: Tensor) -> Tensor:
        """Probability with which each of the tokens is drawn from its row of logits.

        Args:
            logits: (N, V).
            tokens: (N,) int64.

        Returns:
            (N,) float64
        """
        if self.temperature == 0:
            return (self.best(logits) == tokens).double()
        found = [
            self.shape(logits[some]).double().softmax(-1).gather(1, tokens[some, None])
            for some in _chunks(logits)
        ]
        return torch.cat(found)[:, 0]


def _chunks(logits: Tensor) -> list[slice]:
    """Slices of the rows of logits (N, V) that are rated together; at least one."""
    size = max(1, RATED // logits.shape[-1])
    return [slice(i, i + size) for i in range(0, max(1, len(logits)), size)]


def entropy(log_probs: Tensor) -> Tensor:
    """Entropy in nats of every row of normalised log-probabilities. (N, V) → (N,)"""
    return -torch.where(log_probs.isinf(), 0, log_probs.exp() * log_probs).sum(-1)


def log_top_prob(log_probs: Tensor) -> Tensor:
    """Log-probability of the most likely token. (N, V) → (N,)"""
    return log_probs.amax(-1)


def log_margin(log_probs: Tensor) -> Tensor:
    """Log of the margin between the two largest probabilities. (N, V) → (N,)"""
    best = log_probs.exp().topk(2).values
    margin = best[..., 0] - best[..., 1]
    # Finite for a tie: −∞ marks positions that are not candidates.
    return margin.clamp(min=torch.finfo(margin.dtype).tiny).log()


def negative_entropy(log_probs: Tensor) -> Tensor:
    """Negative entropy, largest where the model is most certain. (N, V) → (N,)"""
    return -entropy(log_probs)


def add_gumbel(
    scores: Tensor, temperature: float, generator: torch.Generator | None = None
) -> Tensor:
    """Add Gumbel noise times `temperature` to log-scores. (N,) → (N,)"""
    noise = torch.empty_like(scores).exponential_(generator=generator)
    return scores - temperature * noise.log()


def spread(values: Tensor, where: Tensor) -> Tensor:
    """Put values (N,) at the N true positions of `where` (B, L), and −∞ elsewhere."""
    full = torch.full(where.shape, -torch.inf, dtype=values.dtype, device=values.device)
    full[where] = values
    return full


def ranks(scores: Tensor) -> Tensor:
    """Rank of every score in its row, 0 for the largest. (B, L) → (B, L)"""
    order = scores.argsort(dim=-1, descending=True, stable=True)
    rank = torch.arange(scores.shape[-1], device=scores.device).expand_as(order)
    return torch.empty_like(order).scatter_(-1, order, rank)


def even_split(total: Tensor, steps_left: int) -> Tensor:
    """Number of `total` (B,) to take now, if `steps_left` steps share them evenly."""
    return -(-total // steps_left)


def geometric_shares(steps: int, growth: float) -> list[float]:
    """Shares of the tokens that are revealed after each step, the last one 1.

    A step reveals `growth` times as many tokens as the step before.
    """
    last = steps - 1 if growth > 1 else 0  # no power exceeds 1
    sizes = [growth ** (step - last) for step in range(steps)]
    sums = list(accumulate(sizes))
    return [sum_ / sums[-1] for sum_ in sums]


def number_due(total: Tensor, left: Tensor, share: float) -> Tensor:
    """Number of tokens to reveal now, so that a share of `total` is revealed.

    Args:
        total: (B,) number of tokens to reveal in all.
        left: (B,) number that is still masked.

    Returns:
        (B,) int64
    """
    revealed = (total.double() * share + 1e-9).floor().long()  # rounding aside
    return revealed - (total - left)


def round_at_random(
    expected: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Round each expectation (B,) up or down at random, without bias. Returns int64."""
    draws = uniform(expected.shape, expected.device, generator)
    return (expected + draws).floor().long()


def within_entropy_bound(scores: Tensor, entropies: Tensor, bound: float) -> Tensor:
    """The largest set of positions, by descending score, that can be revealed at once.

    The error of revealing a set together instead of one by one is at most the sum of
    its entropies less the largest, which must not exceed `bound` nats (Ben-Hamu et al.
    2025, arXiv:2505.24857). The best position is always included.

    Args:
        scores: (B, L), −∞ where there is no candidate.
        entropies: (B, L), in nats; ignored where there is no candidate.

    Returns:
        (B, L) bool
    """
    order = scores.argsort(dim=-1, descending=True, stable=True)
    candidate = scores.gather(-1, order).isfinite()
    ordered = torch.where(candidate, entropies.gather(-1, order), torch.inf)
    cost = ordered.cumsum(-1) - ordered.cummax(-1).values
    within = candidate & (cost.nan_to_num(nan=torch.inf) <= bound)
    within[..., 0] = candidate[..., 0]
    return torch.zeros_like(within).scatter_(-1, order, within)
