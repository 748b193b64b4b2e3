"""`simulate.run` of one instance, compiled where the kernel was built: the same schedules, sooner."""

from collections.abc import Callable, Sequence
from functools import partial

from polyhull.planning.instance import Instance
from polyhull.planning.kernels import simulator
from polyhull.planning.schedule import Schedule
from polyhull.planning.simulate import run


def runner(instance: Instance) -> Callable[[Sequence[int], Sequence[int | None] | None], Schedule]:
    """Order and prescribed columns to a schedule."""
    compiled = simulator(instance) if instance.jobs else None
    return partial(run, instance) if compiled is None else compiled.run
