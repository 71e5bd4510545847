"""Rewrite a spec of an older format version as one of the newest."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from xlmgen.errors import UserError
from xlmgen.io.merge import is_crlf, merge
from xlmgen.spec.diagnostics import SpecError
from xlmgen.spec.document import Document, split_bom
from xlmgen.spec.load import load_yaml
from xlmgen.spec.migrations import MIGRATIONS
from xlmgen.spec.validate import SPEC_LINE, VERSIONS, version_problem

if TYPE_CHECKING:
    from ruamel.yaml import YAML


def migrate(document: Document) -> str:
    """Return the document's text in the newest version of its format.

    Comments, order and layout are kept, except on lines that a migration changes.

    Raises:
        SpecError: the file cannot be read, or its version is unknown.
        UserError: the file cannot be rewritten without changing its meaning.
    """
    if document.data is None or document.problems:
        raise SpecError(document.problems)
    line = document.data.get("spec")
    match = SPEC_LINE.fullmatch(line) if isinstance(line, str) else None
    if match is None:
        message = "no 'spec:' line names the format and its version"
        fix = "write for example spec: xlmgen/family/v1"
        raise SpecError([document.diagnostic("XG100", ("spec",), message, fix)])
    kind, version = match[1], int(match[2])
    if version == VERSIONS[kind]:
        return document.text
    if (kind, version) not in MIGRATIONS:
        problem = version_problem(document, kind)
        assert problem is not None  # the version is another one
        raise SpecError([problem])
    return _rewritten(document, kind, version)


def _rewritten(document: Document, kind: str, version: int) -> str:
    """Apply all migrations from a version on.

    ruamel.yaml changes the layout of some lines, both before and after the migrations.
    A three-way merge with the original text keeps the migrations' changes only.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10**6  # lines stay as long as they are
    bom, body = split_bom(document.text)
    try:
        data = yaml.load(body.replace("\r\n", "\n"))
        before = _dump(yaml, data)
    except YAMLError:
        before = ""
    if load_yaml(document.file, before).data != document.data:
        raise UserError(
            f"{document.file} cannot be rewritten without changing its meaning",
            "change it by hand",
        )
    for step in range(version, VERSIONS[kind]):
        MIGRATIONS[kind, step](data)
        data["spec"] = f"xlmgen/{kind}/v{step + 1}"
    after = _dump(yaml, data)
    merged = merge(before, body, after, prefer_now=True).text
    if load_yaml(document.file, merged).data != load_yaml(document.file, after).data:
        merged = after.replace("\n", "\r\n") if is_crlf(body) else after
    return bom + merged


def _dump(yaml: YAML, data: Any) -> str:
    stream = io.StringIO()
    yaml.dump(data, stream)
    return stream.getvalue()
