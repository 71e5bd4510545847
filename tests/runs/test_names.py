"""Short names of runs that are shown together."""

import pytest

from xlmgen.runs.names import common_name, short_names


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["arlm-x-tiny-seed0", "mdlm-x-tiny-seed0"], ["arlm", "mdlm"]),
        (["x-arlm-tiny", "x-tiny"], ["x-arlm-tiny", "x-tiny"]),  # one would be empty
        (["x-arlm-big-tiny", "x-mdlm-tiny"], ["arlm big", "mdlm"]),
        (["m-rate=1e-05", "m-rate=0.001"], ["rate=1e-05", "rate=0.001"]),
        (["a-b"], ["a-b"]),
        (["a", "b"], ["a", "b"]),
        (["a-a", "a-b", "b-a"], ["a a", "a b", "b a"]),
        ([], []),
    ],
)
def test_parts_that_all_names_share_are_left_out(names, short):
    assert short_names(names) == short


def test_common_name_has_the_parts_of_some_runs_only():
    others = [f"{family}-x-seed{n}" for family in ("arlm", "mdlm") for n in (0, 1)]
    assert common_name(others[:2], others) == "arlm"
    assert common_name(["a", "b"], ["a", "b", "c"]) == ""
