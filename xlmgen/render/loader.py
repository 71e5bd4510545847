"""Load templates from folders, and no files outside of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from jinja2 import BaseLoader, Environment, FileSystemLoader, TemplateNotFound
from jinja2.exceptions import SecurityError

from xlmgen.io.files import is_plain, real_path
from xlmgen.spec.load import MAX_BYTES

Source = tuple[str, str, Callable[[], bool]]


class FolderLoader(BaseLoader):
    """Loads a template from the first folder that has it.

    Args:
        search: resolved paths of folders. Links that lead out of them and very large
            files are refused.
    """

    def __init__(self, search: Sequence[Path]) -> None:
        self._folders = [(folder, FileSystemLoader(folder)) for folder in search]

    def get_source(self, environment: Environment, template: str) -> Source:
        """Return the text of a template, its path, and a check for changes.

        Raises:
            TemplateNotFound: no folder has it.
            SecurityError: templates may not read this file.
        """
        for folder, loader in self._folders:
            path = folder.joinpath(*template.split("/"))
            if ".." in template.split("/") or not path.is_file():
                continue
            if not real_path(path).is_relative_to(folder) or not is_plain(path):
                raise SecurityError(f"{template} is a link that leads out of {folder}")
            if path.stat().st_size > MAX_BYTES:
                raise SecurityError(f"{template} is larger than {MAX_BYTES:,} bytes")
            return loader.get_source(environment, template)
        raise TemplateNotFound(template)
