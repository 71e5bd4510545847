"""A render depends on the spec only."""

import hashlib
import os
import subprocess
import sys

import pytest
from jinja2 import UndefinedError

from xlmgen.errors import UserError
from xlmgen.render import render
from xlmgen.render.context import paper_link
from xlmgen.render.environment import paragraph
from xlmgen.render.lock import parse_lock
from xlmgen.render.python import class_name

from .conftest import make_family


def test_render_has_all_files(family, templates):
    assert set(render(family, templates)) == {
        "__init__.py",
        "types_sample.py",
        "model_sample.py",
        "loss_sample.py",
        "predictor_sample.py",
        "collator_sample.py",
        "metrics_sample.py",
        "tests/test_model_sample.py",
        "tests/test_loss_sample.py",
        "tests/test_predictor_sample.py",
        "tests/test_collator_sample.py",
        "README.md",
        "experiments/star_tiny.yaml",
        "experiments/star_easy.yaml",
        "experiments/star_medium.yaml",
        "experiments/star_hard.yaml",
        "experiments/shakespeare_char.yaml",
        "experiments/text.yaml",
        "family.yaml",
        "family.lock",
    }


def test_kind_names_its_template(family, templates):
    files = render(family, templates)
    assert "family/predictor/unmasking.py.jinja" in files["predictor_sample.py"]
    assert "family/collator/masking.py.jinja" in files["collator_sample.py"]
    assert files["loss_sample.py"].startswith("# sample Sample 8\n")


def test_render_has_spec_verbatim(family, templates):
    assert render(family, templates)["family.yaml"] == family.source


def test_lock_has_every_other_file(family, templates):
    files = render(family, templates)
    lock = parse_lock(files.pop("family.lock"))
    assert lock.pristine == files
    assert lock.spec == hashlib.sha256(family.source.encode()).hexdigest()


def test_undefined_variable_raises(family, templates):
    (templates[0] / "family" / "metrics.py.jinja").write_text("{{ predictor.stpes }}")
    with pytest.raises(UndefinedError):
        render(family, templates)


def test_kind_without_template_is_named(family, templates):
    (templates[0] / "family" / "loss" / "masked.py.jinja").unlink()
    with pytest.raises(UserError, match=r"family/loss/masked\.py\.jinja"):
        render(family, templates)


def test_first_template_on_search_path_is_used(family, templates, tmp_path):
    mine = tmp_path / "mine" / "family" / "loss" / "masked.py.jinja"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine\n")
    files = render(family, (tmp_path / "mine", *templates))
    assert files["loss_sample.py"] == "mine\n"
    assert "family/predictor" in files["predictor_sample.py"]


SCRIPT = """
import hashlib, sys
from xlmgen.render import render
from xlmgen.spec.family import read_family
files = render(read_family(sys.argv[1]))
print(hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest())
"""


def test_render_does_not_depend_on_process_folder_or_hash_seed(tmp_path):
    spec = tmp_path / "sample.yaml"
    spec.write_text(make_family().source)
    digests = set()
    for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo")):
        (tmp_path / seed).mkdir()
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(spec)],
            cwd=tmp_path / seed,
            env=os.environ | {"PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout)
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("mdlm", "Mdlm"), ("my_family", "MyFamily"), ("bd3lm", "Bd3lm"), ("a_", "A")],
)
def test_class_names(name, prefix):
    assert class_name(name) == prefix
    assert f"{prefix}Loss".isidentifier()


def test_paper_links():
    assert paper_link("arXiv:2406.07524") == "https://arxiv.org/abs/2406.07524"
    assert paper_link("doi:10.1000/x") == "https://doi.org/10.1000/x"
    assert paper_link("https://example.org/a:b") == "https://example.org/a:b"
    assert paper_link("doi:10.1016/S0(00)8") == "https://doi.org/10.1016/S0%2800%298"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Masked diffusion, p(x) = 1 - t", "Masked diffusion, p(x) = 1 - t"),
        ("a [b](https://c.d) ![e](f)", r"a \[b\](https:\//c.d) !\[e\](f)"),
        (r"<b> & \[x] `code` *x* _y_", r"\<b\> \& \\\[x\] \`code\` \*x\* \_y\_"),
        ("# Heading\n# Heading", r"\# Heading \# Heading"),
        ("1. One", r"1\. One"),
        ("- One", r"\- One"),
    ],
)
def test_markdown_shows_text_literally(text, shown):
    assert paragraph(text) == shown
