"""xlm-core in a virtual environment of its own, made once."""

import subprocess
import sys
from pathlib import Path

TORCH = "torch==2.13.0"
PACKAGES = ("xlm-core==0.3.1", "xlm-models==0.3.1", "transformers<5")
"""A plain install does not import: it needs an older transformers than it asks for."""


def python(folder: Path) -> Path:
    """The interpreter of an environment that has xlm-core, installed now if need be."""
    done = folder / "installed"
    interpreter = folder / "bin" / "python"
    if done.is_file():
        return interpreter
    print(f"installing xlm-core in {folder}, which takes minutes", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    install = [str(interpreter), "-m", "pip", "install", "--quiet"]
    install.append("--disable-pip-version-check")
    subprocess.run([*install, TORCH], check=True)
    subprocess.run([*install, TORCH, *PACKAGES], check=True)
    done.touch()
    return interpreter
