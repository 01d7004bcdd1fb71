"""Downstream tasks as data: what has to be told apart, on whose recordings."""

from eegfoundation.tasks.arrays import trials_from_arrays
from eegfoundation.tasks.registry import TASKS, load_task
from eegfoundation.tasks.task import Split, Task
from eegfoundation.tasks.trials import Trials, load_trials

__all__ = ["TASKS", "Split", "Task", "Trials", "load_task", "load_trials", "trials_from_arrays"]
