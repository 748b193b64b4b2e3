"""The compiled twin of simulation and search: plain C behind ctypes, built by `python hatch_build.py`.

Where no library was built everything runs in Python with the same results, some twenty times slower. C source,
formats and limits are in kernel.h; that both say the same is tested on random instances.
"""

import ctypes
from collections.abc import Sequence
from functools import cache, lru_cache
from math import inf
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polyhull.planning.instance import Instance
from polyhull.planning.kernels.source import LIBRARY, version
from polyhull.planning.kernels.tables import Tables
from polyhull.planning.objectives import makespan_score, score
from polyhull.planning.schedule import Moved, Placing, Schedule, Slot, Turn

NOT_BUILT = "search in pure Python, slower with the same result: build the kernel with `python hatch_build.py`"
_MOVED = np.dtype([("way", np.int32), ("start", np.float64), ("end", np.float64)], align=True)
_SEAT = np.dtype([("node", np.int32), ("pods", np.int32)])
MOST_GANGS = 3
"""Of a choice, as in kernel.h."""
_POINTER, _INT, _LONG, _DOUBLE = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_double


@cache
def library() -> ctypes.CDLL | None:
    """The library of exactly these sources, or None."""
    try:
        return load(LIBRARY)
    except OSError:  # not built, or for another machine
        return None


def load(path: Path) -> ctypes.CDLL | None:
    """None: built from other sources than these. Raises OSError."""
    found = ctypes.CDLL(str(path))
    found.ph_version.restype = ctypes.c_char_p
    if found.ph_version() != version().encode():
        return None
    found.ph_run.argtypes, found.ph_run.restype = (_POINTER,) * 8, None
    found.ph_open.argtypes = (_POINTER, _POINTER, _INT, _POINTER, _POINTER, _DOUBLE, ctypes.c_uint64)
    found.ph_open.restype = _POINTER
    found.ph_search.argtypes, found.ph_search.restype = (_POINTER, _LONG), _LONG
    found.ph_best.argtypes, found.ph_best.restype = (_POINTER,) * 4, _INT
    found.ph_polish.argtypes, found.ph_polish.restype = (_POINTER, _INT, *(_POINTER,) * 5), _INT
    found.ph_turns.argtypes, found.ph_turns.restype = (_POINTER,) * 9, None
    found.ph_close.argtypes, found.ph_close.restype = (_POINTER,), None
    return found


def _data(array: NDArray[np.generic]) -> int:
    return array.ctypes.data


def _columns(prescribed: Sequence[int | None]) -> NDArray[np.int32]:
    return np.array([-1 if column is None else column for column in prescribed], dtype=np.int32)


class Simulator:
    """`simulate.run` of one instance."""

    def __init__(self, instance: Instance, compiled: ctypes.CDLL) -> None:
        self.instance, self.library, self.tables = instance, compiled, Tables(instance)
        most = [max(choice.pods for choice in options) for options in instance.choices]
        self._seat_of = np.concatenate([[0], np.cumsum(most)]).astype(np.int32)

    def run(self, order: Sequence[int], prescribed: Sequence[int | None] | None = None) -> Schedule:
        """The same schedule that `simulate.run` gives."""
        instance, jobs = self.instance, len(self.instance.jobs)
        columns = _columns(prescribed if prescribed is not None else [None] * jobs)
        places = np.array(order, dtype=np.int32)
        times = np.zeros((jobs, 4))
        seats = np.zeros(jobs, dtype=np.int32)
        seat = np.zeros(max(1, int(self._seat_of[-1])), dtype=_SEAT)
        moved = np.zeros(max(1, len(instance.moves)), dtype=_MOVED)
        arrays = (places, columns, times, self._seat_of, seats, seat, moved)
        self.library.ph_run(ctypes.byref(self.tables.table), *(_data(array) for array in arrays))
        slots: list[Slot | None] = []
        rows = zip(columns.tolist(), times.tolist(), self._seat_of.tolist(), seats.tolist(), strict=False)
        for column, (start, ready, end, waits), first, count in rows:
            where = tuple(seat[first : first + count].tolist())
            slots.append(None if column < 0 else Slot(column, start, ready, end, where, waits))
        made: list[Moved] = moved[: len(instance.moves)].tolist()
        moves = {move: one for move, one in enumerate(made) if one[0] >= 0}
        running: float = self.tables.table.running
        makespan = max([running, *(slot.end for slot in slots if slot is not None)])
        return Schedule(tuple(order), tuple(slots), moves, makespan, score(instance, slots, moves, running))

    def earlier(self, schedule: Schedule, order: Sequence[int], later: Sequence[int]) -> Placing | None:
        """The same that `search.earlier` gives."""
        places, tries = np.array(order, dtype=np.int32), np.array(later, dtype=np.int32)
        columns = _columns([None if slot is None else slot.choice for slot in schedule.slots])
        starts, first = np.full(len(columns), inf), np.full(len(columns), inf)
        arrays = (places, tries, columns, starts, first)
        table = ctypes.byref(self.tables.table)
        if not self.library.ph_polish(table, len(order), *(_data(array) for array in arrays)):
            return None
        return Placing([None if one < 0 else one for one in columns.tolist()], starts.tolist(), first.tolist())

    def turns(self, schedule: Schedule, asked: Sequence[Sequence[int]]) -> list[Turn]:
        """The same that `explain.turns` gives."""
        jobs = len(self.instance.jobs)
        order = np.array(schedule.order, dtype=np.int32)
        columns = _columns([None if slot is None else slot.choice for slot in schedule.slots])
        asked_of = np.concatenate([[0], np.cumsum([len(some) for some in asked])]).astype(np.int32)
        flat = np.array([column for some in asked for column in some], dtype=np.int32)
        ends, free = np.zeros(len(flat)), np.zeros((jobs, MOST_GANGS), dtype=np.int64)
        chosen = [
            None if slot is None else options[slot.choice]
            for slot, options in zip(schedule.slots, self.instance.choices, strict=True)
        ]
        loads = [0 if choice is None else len(choice.loads) for choice in chosen]
        under_of = np.concatenate([[0], np.cumsum(loads)]).astype(np.int32)
        under = np.zeros(max(1, int(under_of[-1])))
        arrays = (order, columns, asked_of, flat, ends, free, under_of, under)
        self.library.ph_turns(ctypes.byref(self.tables.table), *(_data(array) for array in arrays))
        found, places, left, lines = ends.tolist(), asked_of.tolist(), under.tolist(), under_of.tolist()
        gangs = [0 if choice is None else 1 + len(choice.others) for choice in chosen]
        return [
            Turn(
                tuple(found[places[j] : places[j + 1]]),
                tuple(one[: gangs[j]]),
                tuple(left[lines[j] : lines[j + 1]]),
            )
            for j, one in enumerate(free.tolist())
        ]


@lru_cache(maxsize=3)
def simulator(instance: Instance) -> Simulator | None:
    """Of the very instance, made once: its tables take longer than many runs. None where no library was built."""
    compiled = library()
    return None if compiled is None else Simulator(instance, compiled)


class CompiledTierSearch:
    """`search.TierSearch`, compiled."""

    def __init__(
        self,
        simulator: Simulator,
        tier: int,
        best: Schedule,
        ranking: Sequence[Sequence[int]],
        seed: int,
        lower_bound: float,
    ) -> None:
        self._simulator, self._library = simulator, simulator.library
        self._best: Schedule | None = best
        table = simulator.tables
        rank = sorted(set(simulator.instance.tiers), reverse=True).index(tier)
        self._ranking = np.array([column for row in ranking for column in row], dtype=np.int32)
        self._order = np.array(best.order, dtype=np.int32)
        self._column = _columns([None if slot is None else slot.choice for slot in best.slots])
        self._score = np.array(makespan_score(simulator.instance, best), dtype=np.float64)
        self._handle: int | None = self._library.ph_open(
            ctypes.byref(table.table), _data(self._ranking), rank, _data(self._order), _data(self._column),
            lower_bound, seed & 0xFFFFFFFFFFFFFFFF,
        )  # fmt: skip
        self._read()

    def search(self, steps: int) -> int:
        taken: int = self._library.ph_search(self._handle, steps)
        self._read()
        return taken

    def _read(self) -> None:
        before = self._score.tolist()
        arrays = (self._order, self._column, self._score)
        self.done = bool(self._library.ph_best(self._handle, *(_data(array) for array in arrays)))
        if self._score.tolist() != before:
            self._best = None

    @property
    def best(self) -> Schedule:
        if self._best is None:
            columns = [None if column < 0 else column for column in self._column.tolist()]
            self._best = self._simulator.run(self._order.tolist(), columns)
        return self._best

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.ph_close(self._handle)
            self._handle = None
