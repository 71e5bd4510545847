"""Where the files that ship with xlmgen are, and where derived files are kept."""

import os
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


def cache_root() -> Path:
    """`$XLMGEN_CACHE`, or `xlmgen` in the user's folder for caches."""
    if chosen := os.environ.get("XLMGEN_CACHE"):
        return Path(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("xlmgen", appauthor=False)
