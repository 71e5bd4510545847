"""Fixtures for tests of generated tasks."""

import pytest
import yaml

from xlmgen.data.task import load_task
from xlmgen.spec.diagnostics import SpecError


@pytest.fixture
def refused(tmp_path):
    """Factory: path and message of the problem of a task with a changed source."""

    def load(name, changes):
        task = load_task(name)
        path = tmp_path / "mine.yaml"
        source = {**task.source, **changes}
        path.write_text(yaml.safe_dump({**task.document, "source": source}))
        with pytest.raises(SpecError) as error:
            load_task(path)
        return [(problem.path, problem.text) for problem in error.value.diagnostics]

    return load
