"""Language-model families from one YAML file: checked, rendered, proven, trained.

The functions of `xlmgen.api` can be used as `xlmgen.load`, `xlmgen.train` and so on;
they are imported on first use, since most commands do not need PyTorch.
"""

from typing import TYPE_CHECKING, Any

from xlmgen.version import __version__ as __version__

if TYPE_CHECKING:
    from xlmgen.api import Answer as Answer
    from xlmgen.api import LogLikelihood as LogLikelihood
    from xlmgen.api import Model as Model
    from xlmgen.api import load as load
    from xlmgen.api import load_family as load_family
    from xlmgen.api import load_task as load_task
    from xlmgen.api import render_family as render_family
    from xlmgen.api import train as train

API = (
    "Answer",
    "LogLikelihood",
    "Model",
    "load",
    "load_family",
    "load_task",
    "render_family",
    "train",
)


def __getattr__(name: str) -> Any:
    if name not in API:
        raise AttributeError(f"module 'xlmgen' has no attribute '{name}'")
    from xlmgen import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *API])
