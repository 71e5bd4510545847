"""The curve of validations in a terminal."""

from rich.console import Console

from xlmgen.training.curve import HEIGHT, learning_curve


def rows(values, name="val/exact_match", every=100):
    return [
        {"step": str(every * (i + 1)), "val/loss": "1.5", name: str(value)}
        for i, value in enumerate(values)
    ]


def heights(lines):
    """How many cells of each column are filled."""
    bodies = [line.split("┤", 1)[1] for line in lines[1 : HEIGHT + 1]]
    width = max(map(len, bodies))
    return [sum(body.ljust(width)[c] != " " for body in bodies) for c in range(width)]


def test_curve_rises_from_bottom_to_top_with_a_score():
    lines = learning_curve(rows([0.0, 0.25, 0.5, 1.0]), 80)
    assert lines[0] == "val/exact_match"
    assert lines[1].startswith("100.0 % ┤")
    assert lines[HEIGHT].startswith("  0.0 % ┤")
    assert lines[-1].endswith("step 400")
    found = heights(lines)
    assert found == sorted(found)
    # 60 columns for four validations: the first ends at column 15.
    assert found[14:15] == [1]
    assert found[29:30] == [2]
    assert found[44:45] == [4]
    assert found[59:] == [8]


def test_loss_is_drawn_where_nothing_is_scored():
    made = [
        {"step": str(s), "val/loss": str(v)} for s, v in ((1, 3.0), (2, 2.0), (3, 1.0))
    ]
    lines = learning_curve(made, 80)
    assert lines[0] == "val/loss"
    assert lines[1].lstrip().startswith("3.0000")
    assert lines[HEIGHT].lstrip().startswith("1.0000")


def test_steps_without_validation_and_nan_are_left_out():
    made = [{"step": "50", "train/loss": "1"}, *rows([0.1, "nan", 0.3, 0.5])]
    assert learning_curve(made, 80) == learning_curve(
        [row for row in made if row.get("val/exact_match") != "nan"], 80
    )


def test_too_few_validations_give_no_curve():
    assert learning_curve([], 80) == []
    assert learning_curve(rows([0.5, 0.6]), 80) == []


def test_curve_fits_a_narrow_terminal():
    for width in (30, 40, 80):
        lines = learning_curve(rows([0.1] * 7, every=100000), width)
        assert max(map(len, lines)) <= width
        assert all(
            Console(width=width).render_str(line).cell_len <= width for line in lines
        )
