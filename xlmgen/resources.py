"""Where the files that ship with xlmgen are: templates, schemas, families."""

from functools import cache
from pathlib import Path


@cache
def root() -> Path:
    """The folder that holds `templates/`, `schemas/` and `families/`.

    It is `xlmgen/_bundled` in an installed wheel, the top of the checkout otherwise.
    """
    package = Path(__file__).resolve().parent
    bundled = package / "_bundled"
    return bundled if bundled.is_dir() else package.parent
