"""Mathematical answers: extraction of expressions and their comparison."""

import sys

import pytest

from xlmgen.cli import main
from xlmgen.errors import UserError
from xlmgen.evaluation import mathematics
from xlmgen.evaluation.mathematics import expression, math_match


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"so \boxed{\frac{3}{4}}.", r"$\frac{3}{4}$"),
        (r"\boxed{1} or \boxed{ 2 }", "$2$"),
        (r"\frac{3}{4}", r"$\frac{3}{4}$"),
        (r"it is $\frac{3}{4}$", r"it is $\frac{3}{4}$"),
        ("it is 5", "it is 5"),
        ("5", "$5$"),
        ("(x+1)^2", "$(x+1)^2$"),
        ("  ", ""),
    ],
)
def test_expression_of_text(text, found):
    assert expression(text) == found


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "math_verify", None)
    with pytest.raises(UserError, match=r"math-verify.*xlmgen\[math\]"):
        math_match(["1"], ["1"])


def test_missing_package_is_reported_before_training_and_evaluation(
    project, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "math_verify", None)
    task = project / "toy_task.yaml"
    plain = task.read_text()
    task.write_text(plain.replace("token_accuracy", "math_match"))
    assert main(["train", "toy.yaml", "--run-dir", "run"]) == 2
    out, err = capsys.readouterr()
    assert "xlmgen[math]" in err
    assert "step 3" not in out
    task.write_text(plain)
    assert main(["train", "toy.yaml", "--run-dir", "other"]) == 0
    saved = project / "other" / "task.yaml"
    saved.write_text(saved.read_text().replace("token_accuracy", "math_match"))
    assert main(["eval", "other"]) == 2
    assert "xlmgen[math]" in capsys.readouterr().err
    assert not list((project / "other" / "results").iterdir())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_equal_expressions_match_in_any_form(monkeypatch):
    pytest.importorskip("math_verify")
    monkeypatch.setattr(mathematics, "SECONDS", 1)
    half = r"\frac{1}{2}"
    rows = {
        (r"Thus \boxed{0.5}", half): 1,
        (r"\boxed{\dfrac12}", half): 1,
        (r"$1/2$", half): 1,
        (half, half): 1,
        (r"\boxed{2}", half): 0,
        ("", half): 0,
        ("I do not know.", half): 0,
        ("The answer is 5.", "5"): 1,
        (r"\boxed{x^2 + 2x + 1}", "(x+1)^2"): 1,
        (r"\boxed{(3, \frac{\pi}{2})}", r"\left( 3, \frac{\pi}{2} \right)"): 1,
        (r"\boxed{(\frac{\pi}{2}, 3)}", r"\left( 3, \frac{\pi}{2} \right)"): 0,
        (r"\boxed{\text{Evelyn}}", r"\text{Evelyn}"): 1,
        (r"\boxed{2\sqrt{2}}", r"\sqrt{8}"): 1,
        (r"\boxed{9^{9^{9^{9}}}}", "5"): 0,  # does not terminate
        (r"\boxed{" + "{" * 5000, "5"): 0,
        (r"\boxed{5}", "5"): 1,  # and later answers are still compared
    }
    answers, targets = zip(*rows, strict=True)
    verdicts = math_match(answers, targets)
    assert dict(zip(rows, verdicts, strict=True)) == rows
