"""Star graphs: find the path from a source to a goal in a shuffled list of edges.

The planning task of Bachmann and Nagarajan (2024, arXiv:2403.06963), with directed
edges and arms that may also *enter* the centre.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xlmgen.errors import UserError
from xlmgen.tasks import draws
from xlmgen.tasks.answered import Answered

Ints = draws.Ints

# Graphs drawn and node names shuffled at once; the rows of a seed depend on both.
CHUNK = 8192
CHUNK_NODES = 2**22


@dataclass(frozen=True)
class Star:
    """Distribution of star graphs.

    Every arm is a directed chain of distinct nodes through the shared centre. Its
    number of nodes is uniform, and so is the position of the centre in it, over those
    with at least `plan` edges after the centre. Arm 0 is the answer, from its first
    node (the source) to its last (the goal).

    Args:
        arms: number of arms.
        min_nodes: fewest nodes of an arm, centre included.
        max_nodes: most nodes of an arm, centre included.
        plan: fewest edges of an arm after the centre; at most `min_nodes - 1`. If it
            is also `max_nodes - 1`, every arm starts at the centre.
        vocabulary: number of node names, 0 to `vocabulary - 1`.
    """

    arms: int
    min_nodes: int
    max_nodes: int
    plan: int
    vocabulary: int

    def __post_init__(self) -> None:
        # `xlmgen.spec.generators.star` checks these in a task's YAML.
        assert 2 <= self.min_nodes <= self.max_nodes
        assert 1 <= self.plan <= self.min_nodes - 1
        assert self.max_edges + 1 <= self.vocabulary

    @property
    def max_edges(self) -> int:
        """Number of edges of the largest graph, one less than its nodes."""
        return self.arms * (self.max_nodes - 1)


@dataclass(frozen=True)
class Graphs:
    """Shuffled edge lists with their answers: R graphs with at most E edges.

    Args:
        edges: (R, E, 2) node pairs; -1 from index `num_edges` on.
        num_edges: (R,) number of edges.
        path: (R, N) nodes of the answer, source first; -1 from index `num_path` on.
        num_path: (R,) number of nodes of the path.
    """

    edges: Ints
    num_edges: Ints
    path: Ints
    num_path: Ints

    def __len__(self) -> int:
        return len(self.edges)

    @property
    def source(self) -> Ints:
        """(R,) first node of the path."""
        return self.path[:, 0]

    @property
    def goal(self) -> Ints:
        """(R,) last node of the path."""
        return self.path[np.arange(len(self)), self.num_path - 1]

    def select(self, rows: Ints | slice) -> "Graphs":
        """A subset of the graphs."""
        return Graphs(
            self.edges[rows], self.num_edges[rows], self.path[rows], self.num_path[rows]
        )

    def prompts(self) -> Iterator[list[int]]:
        """Edges flattened to node pairs, then source, then goal."""
        columns = zip(
            self.edges.reshape(len(self), -1).tolist(),
            self.num_edges.tolist(),
            self.source.tolist(),
            self.goal.tolist(),
            strict=True,
        )
        for edges, count, source, goal in columns:
            yield [*edges[: 2 * count], source, goal]

    def answers(self) -> Iterator[list[int]]:
        """The path's edges flattened, so that interior nodes appear twice."""
        for path, count in zip(self.path.tolist(), self.num_path.tolist(), strict=True):
            yield [path[(i + 1) // 2] for i in range(2 * count - 2)]


def generate(star: Star, count: int, seed: int) -> Graphs:
    """Generate `count` graphs that are distinct up to the order of their edges.

    A larger count only appends graphs.

    Raises:
        UserError: the settings do not allow that many distinct graphs.
    """
    stream = draws.Draws(seed)
    found: list[Graphs] = []
    seen: set[bytes] = set()
    draws_without_new = 0
    at_once = min(CHUNK, CHUNK_NODES // star.vocabulary)
    while len(seen) < count:
        chunk = _draw(star, at_once, stream)
        fresh = []
        for row, key in enumerate(_keys(star, chunk)):
            if key not in seen and len(seen) < count:
                seen.add(key)
                fresh.append(row)
        draws_without_new = 0 if fresh else draws_without_new + 1
        if draws_without_new == draws.PATIENCE:
            raise UserError(
                f"source.sizes: asks for {count} different graphs, and only "
                f"{len(seen)} were found",
                "ask for fewer, or raise the vocabulary, the arms or the nodes",
            )
        found.append(chunk.select(np.array(fresh, dtype=np.int64)))
    return Graphs(
        *(
            np.concatenate([getattr(graphs, column) for graphs in found])
            for column in ("edges", "num_edges", "path", "num_path")
        )
    )


def records(source: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Generate every split of `source:` as texts: split → column → one text per row.

    The test split is cut off first, then validation, then train, so the size of train
    does not change the other two.
    """
    nodes, sizes = source["nodes"], source["sizes"]
    star = Star(
        arms=source["arms"],
        min_nodes=nodes["min"],
        max_nodes=nodes["max"],
        plan=source["plan"],
        vocabulary=source["vocabulary"],
    )
    graphs = generate(star, sum(sizes.values()), source["seed"])
    splits = {}
    start = 0
    for split in ("test", "validation", "train"):
        part = graphs.select(slice(start, start + sizes[split]))
        start += sizes[split]
        splits[split] = {
            "prompt": [" ".join(map(str, nodes)) for nodes in part.prompts()],
            "target": [" ".join(map(str, nodes)) for nodes in part.answers()],
        }
    return splits


def is_path(prompt: Sequence[object], answer: Sequence[object]) -> bool:
    """Whether an answer is a chain of the prompt's edges from its source to its goal.

    Args:
        prompt: edges flattened to pairs, then source, then goal; nodes of any type.
        answer: edges flattened to pairs.
    """
    *flat, source, goal = prompt
    edges = set(zip(flat[::2], flat[1::2], strict=True))
    starts, ends = answer[::2], answer[1::2]
    return (
        len(answer) >= 2
        and len(starts) == len(ends)
        and starts[0] == source
        and ends[-1] == goal
        and list(starts[1:]) == list(ends[:-1])
        and all(edge in edges for edge in zip(starts, ends, strict=True))
    )


def valid_path(row: Answered) -> float:
    return float(is_path(row.prompt, row.answer))


def _draw(star: Star, count: int, stream: draws.Draws) -> Graphs:
    """Draw `count` independent graphs: A arms, K nodes besides the centre."""
    rows = np.arange(count)
    arms, own = star.arms, star.max_nodes - 1

    names = stream.shuffled(count, star.vocabulary)[:, : star.max_edges + 1]
    centre = names[:, :1]  # (R, 1)
    others = names[:, 1:].reshape(count, arms, own)

    spread = np.full((count, arms), star.max_nodes - star.min_nodes + 1)
    length = star.min_nodes + stream.below(spread)  # (R, A)
    position = stream.below(length - star.plan)  # (R, A) nodes before the centre

    # Insert the centre at its position in every arm: later nodes move up by one.
    step = np.arange(star.max_nodes)
    after = step > position[..., None]
    node = np.take_along_axis(others, np.minimum(step - after, own - 1), axis=2)
    node = np.where(
        step == position[..., None], centre[..., None], node
    )  # (R, A, K + 1)

    edges = np.stack([node[..., :-1], node[..., 1:]], axis=-1).reshape(count, -1, 2)
    exists = (step[:-1] < length[..., None] - 1).reshape(count, -1)
    num_edges = exists.sum(axis=1)

    # Random order, with the edges that do not exist last.
    order = stream.shuffled(count, star.max_edges)
    gone = ~np.take_along_axis(exists, order, axis=1)
    order = np.take_along_axis(order, np.argsort(gone, axis=1, kind="stable"), axis=1)
    edges = edges[rows[:, None], order]
    edges[np.arange(star.max_edges) >= num_edges[:, None]] = -1

    path = np.where(step < length[:, :1], node[:, 0], -1)
    return Graphs(edges, num_edges, path, length[:, 0])


def _keys(star: Star, graphs: Graphs) -> Iterator[bytes]:
    """Keys that are equal exactly for equal graphs with equal source and goal."""
    edges = graphs.edges[..., 0] * star.vocabulary + graphs.edges[..., 1]  # (R, E)
    edges = np.sort(edges, axis=1)
    question = graphs.source * star.vocabulary + graphs.goal
    table = np.concatenate([edges, question[:, None]], axis=1)
    return (row.tobytes() for row in table)
