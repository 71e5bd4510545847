"""Numeric answers: which texts match, and programs that compute them."""

import json
import re
import sys
from fractions import Fraction

import pytest

from xlmgen.cli import main
from xlmgen.errors import UserError
from xlmgen.evaluation.final_number import final_number, numeric_match
from xlmgen.evaluation.programs import program_result


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("72", 72),
        ("The answer is 5.", 5),
        ("She has 3 apples and 4 pears, so 7 in all.", 7),
        ("48/2 = <<48/2=24>>24\n48+24 = 72\n#### 72", 72),
        ("#### 1,234 apples (of 5,000)", 1234),
        ("#### -3", -3),
        ("first #### 3, then #### 4", 4),
        (r"so \boxed{12} of 50", 12),
        (r"\boxed{1}, no: \boxed{\text{about }2}, of 9", 2),
        (r"\boxed{\$1,000}", 1000),
        (r"\boxed{\frac{1}{2}}", Fraction(1, 2)),
        (r"\boxed{-\dfrac{3}{4}} is not 4", Fraction(-3, 4)),
        (r"\boxed{7", 7),  # truncated
        ("$1,234.50", Fraction("1234.5")),
        ("-$5", -5),
        ("$-5", -5),
        ("−5", -5),
        ("3-5", 5),  # a range, not minus five
        ("x = -5", -5),
        ("50%", 50),
        ("72.00", 72),
        (".5", Fraction(1, 2)),
        ("3/4", Fraction(3, 4)),
        ("1/0", None),
        ("1e3", 1000),
        ("1,2,3", 3),
        ("1,0000", 0),
        ("H2O", None),
        ("", None),
        ("none", None),
        ("9" * 100_000, None),
    ],
)
def test_final_number_of_text(text, number):
    assert final_number(text) == number


def test_answer_without_number_does_not_match():
    answers = ["It is $1,000.", "1000.0", "1001", "", "1,00"]
    assert numeric_match(answers, ["#### 1,000"] * 5) == [1, 1, 0, 0, 0]
    with pytest.raises(UserError, match="row 1 of the split: the reference answer"):
        numeric_match(["1", "2"], ["1", "two"])


GOOD = "def simple_math_problem() -> int:\n    '''72?'''\n    return 48 + 48 // 2\n"


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_program_results_are_compared_with_targets():
    answers = {
        GOOD: 1,
        f"Here it is:\n```python\n{GOOD}```\nIt computes 72.": 1,
        GOOD.replace("//", "/"): 1,  # 72.0
        "import math\ndef f():\n    return math.sqrt(2) ** 2 * 36": 1,  # 72.00…01
        "def g():\n    return 1\ndef f():\n    return g() * 72": 1,
        GOOD.replace("//", "*"): 0,
        GOOD.replace("return", "print('72')\n    return None or"): 1,
        "def f():\n    print(72)": 0,
        "from decimal import Decimal\ndef f():\n    return Decimal('7.2E+1')": 1,
        "from fractions import Fraction\ndef f():\n    return Fraction(144, 2)": 1,
        "def f():\n    return '72'": 0,
        "def f():\n    return [72]": 0,
        "def f():\n    return True": 0,
        "def f():\n    return float('nan')": 0,
        "def f():\n    return float('inf')": 0,
        "def f(x):\n    return 72": 0,
        "def f():\n    return 10 ** 5000": 0,
        "72": 0,  # not a program
        "def f(:\n    return 72": 0,
        "": 0,
    }
    rows = program_result(list(answers), ["#### 72"] * len(answers))
    assert dict(zip(answers, rows, strict=True)) == answers


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_target_program_is_run():
    assert program_result([GOOD, GOOD], [GOOD, "#### 71"]) == [1, 0]
    with pytest.raises(UserError, match="row 0 of the split"):
        program_result([GOOD], ["def f():\n    return 1 / 0"])


def test_eval_runs_metric_once_for_every_row(project, monkeypatch, capsys):
    """The last number of a star graph's answer is its goal."""
    task = project / "toy_task.yaml"
    task.write_text(task.read_text().replace("token_accuracy", "numeric_match"))
    assert main(["train", "toy.yaml", "--run-dir", "run"]) == 0
    assert re.search(r"val/numeric_match \d+\.\d %", capsys.readouterr().out)
    asked = []

    def counted(answers, targets):
        asked.append(len(answers))
        return numeric_match(answers, targets)

    monkeypatch.setattr("xlmgen.evaluation.final_number.numeric_match", counted)
    assert main(["eval", "run"]) == 0
    assert asked == [41]
    results = json.loads((project / "run/results/test.json").read_text())
    lines = (project / "run/predictions/test.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    right = [
        (row["prediction"].split() or [""])[-1] == row["target"].split()[-1]
        for row in rows
    ]
    assert [row["numeric_match"] for row in rows] == right
    assert results["scores"]["numeric_match"] == sum(right) / 41
