"""What tests of generated tasks share."""

import pytest
import yaml

from xlmgen.data.task import load_task
from xlmgen.spec.diagnostics import SpecError


@pytest.fixture
def refused(tmp_path):
    """Loads a task whose source is changed: where it is wrong, and why."""

    def load(name, changes):
        task = load_task(name)
        path = tmp_path / "mine.yaml"
        source = {**task.source, **changes}
        path.write_text(yaml.safe_dump({**task.document, "source": source}))
        with pytest.raises(SpecError) as error:
            load_task(path)
        return [(problem.path, problem.text) for problem in error.value.diagnostics]

    return load
