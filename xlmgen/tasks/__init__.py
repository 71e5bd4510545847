"""Tasks: where examples come from, and what scores the answers."""

from xlmgen.tasks.find import FoundTask, find_tasks
from xlmgen.tasks.task import Task, load_task

__all__ = ["FoundTask", "Task", "find_tasks", "load_task"]
