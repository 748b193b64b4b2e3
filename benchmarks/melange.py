"""Melange's choice of GPU instances (Griggs et al. 2024) on the sizes of the Azure conversation trace.

The peer is restated: melange/solver.py of github.com/tyler-griggs/melange-release cuts every bucket of request sizes
into slices and lets each slice choose one GPU kind. It is solved by the solver Melange uses (CBC, through PuLP) where
`pip install pulp` has put it, and by HiGHS (scipy.optimize.milp) otherwise.

Melange's own profiles are not published. The profile here is made of measured kernel times (Vidur: Llama-2-7b on
A40, A100 and H100) and stated assumptions: a decode step reads the keys and values of its batch from memory at the
data sheet's bandwidth, the batch is the largest that memory holds and that keeps the time per output token.
"""

import csv
import importlib.util
import math
import statistics
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import Figure, SkipBenchmark, alternately, at_most, report, seconds
from polyhull.optimize.data import Floats
from polyhull.optimize.instances import Instances, least_cost

ROUNDS, REPEATED = 3, 5
"""Rounds in turn, and how often ours is measured in each: on a shared machine one wait is longer than a whole run."""
RATES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Requests per second; several, because how long CBC takes on one of them is chance."""
SLICES = 4
"""Melange's README: "we empirically find that 4 is sufficient for most cases"."""
LIMIT_SECONDS = 60.0
TOKEN_SECONDS = 0.04
"""The tighter of the two objectives of Melange's evaluation (40 and 120 ms per output token)."""
LAYERS, WEIGHT_BYTES, TOKEN_BYTES = 32, 13.5e9, 2 * 32 * 4096 * 2
"""Llama-2-7b in 16 bits: layers, weights, keys and values of one token (2 x layers x hidden x 2 bytes)."""


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU kind: its folder in Vidur's profiles, memory, memory bandwidth (data sheets), dollars an hour."""

    folder: str
    memory_bytes: float
    bytes_per_second: float
    price: float


CARDS = (
    # Assumed, there is none among the data: the price of an L40S, as large (skypilot-catalog, nebius @ 0082b04).
    Card("a40", 48e9, 696e9, 1.5484),
    # Melange's config/example.json @ ebba701.
    Card("a100", 80e9, 2039e9, 3.67),
    # Assumed: a little more than twice an A100's.
    Card("h100", 80e9, 3350e9, 7.5),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """Cost per hour and whether it was proven."""

    cost: float
    optimal: bool


def melange(data: Path | None) -> Iterator[Figure]:
    """Seconds and cost of the choice at several request rates: buckets split at will against binary slices."""
    weights, throughput = profile(data)
    price = np.array([card.price for card in CARDS])
    with np.errstate(divide="ignore"):
        per_request = 1.0 / throughput
    solver = "CBC through PuLP" if importlib.util.find_spec("pulp") else "HiGHS through scipy (PuLP is not installed)"
    source = f"Melange's slices restated ({SLICES} a bucket), solved by {solver}, same run"
    where = f"Azure conversations ({len(weights)} size buckets), 40 ms a token, A40, A100 and H100"
    loads = [rate * weights[:, None] * per_request for rate in RATES]
    ours: list[list[Instances]] = []
    theirs: list[list[Answer]] = []
    *each, sliced = alternately(
        ROUNDS,
        *[lambda: seconds(lambda: ours.append([least_cost(load, price) for load in loads]))] * REPEATED,
        lambda: seconds(lambda: theirs.append([by_slices(load, price, SLICES) for load in loads])),
    )
    took = statistics.median(each)
    what = f"{where}, {', '.join(f'{rate:g}' for rate in RATES)} requests/s, one after the other"
    times = sliced / took
    yield Figure("melange choice, theirs over ours", times, "x", 1.0, source, 100.0, times >= 100.0, what)
    yield at_most("melange choice", took, "s", sliced / 100.0, what, sliced, source)
    for rate, mine, other in zip(RATES, ours[-1], theirs[-1], strict=True):
        what = f"{where}, {rate:g} requests/s"
        proof = "proven" if other.optimal else f"not proven within {LIMIT_SECONDS:g} s"
        holds = mine.cost <= other.cost * (1.0 + 1e-9)
        yield Figure("melange cost", mine.cost, "$/h", other.cost, f"{source}; {proof}", other.cost, holds, what)
        yield report("melange proven gap", mine.cost / mine.bound - 1.0, "1", what)


def by_slices(load: Floats, price: Floats, slices: int) -> Answer:
    """Melange's programme, restated: `load` [bucket, kind], every slice of a bucket to one kind."""
    each = np.repeat(load / slices, slices, axis=0)
    return _by_cbc(each, price) if importlib.util.find_spec("pulp") else by_milp(each, price)


def by_milp(each: Floats, price: Floats) -> Answer:
    """The same rows for scipy's HiGHS."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import coo_array, eye_array, hstack, kron

    slices, kinds = each.shape
    able = np.isfinite(each)
    at = np.arange(slices * kinds)
    one = kron(eye_array(slices), np.ones((1, kinds)))
    busy = coo_array((np.where(able, each, 0.0).ravel(), (at % kinds, at)), shape=(kinds, slices * kinds))
    rows = [
        LinearConstraint(hstack([one, coo_array((slices, kinds))]).tocsr(), 1, 1),
        LinearConstraint(hstack([busy, -eye_array(kinds)]).tocsr(), -np.inf, 0),
    ]
    upper = np.concatenate([np.where(able, 1.0, 0.0).ravel(), np.full(kinds, np.inf)])
    found = milp(
        np.concatenate([np.zeros(slices * kinds), price]),
        integrality=np.ones(slices * kinds + kinds),
        bounds=Bounds(0, upper),
        constraints=rows,
        options={"time_limit": LIMIT_SECONDS},
    )
    return Answer(math.inf if found.x is None else float(found.fun), bool(found.success))


def _by_cbc(each: Floats, price: Floats) -> Answer:
    import pulp

    slices, kinds = each.shape
    with warnings.catch_warnings():
        # PuLP 4 will make variables in another way; this is Melange's.
        warnings.simplefilter("ignore", DeprecationWarning)
        problem: Any = pulp.LpProblem("GpuAllocation", pulp.LpMinimize)
        top = np.where(np.isfinite(each), 1, 0)
        x = [
            [pulp.LpVariable(f"x_{i}_{g}", cat="Integer", lowBound=0, upBound=int(top[i, g])) for g in range(kinds)]
            for i in range(slices)
        ]
        y = [pulp.LpVariable(f"y_{g}", cat="Integer", lowBound=0) for g in range(kinds)]
        problem += pulp.lpSum(y[g] * price[g] for g in range(kinds))
        for row in x:
            problem += pulp.lpSum(row) == 1
        for g in range(kinds):
            problem += pulp.lpSum(x[i][g] * each[i, g] for i in range(slices) if top[i, g]) <= y[g]
        problem.solve(pulp.PULP_CBC_CMD(msg=0, timeLimit=LIMIT_SECONDS))
    cost = pulp.value(problem.objective)
    return Answer(math.inf if cost is None else float(cost), problem.sol_status == pulp.LpSolutionOptimal)


def profile(data: Path | None) -> tuple[Floats, Floats]:
    """(share of each bucket of request sizes, requests/s [bucket, card]). Raises SkipBenchmark."""
    trace, folder = "azure/AzureLLMInferenceTrace_conv.csv", "vidur/compute"
    if data is None or not (data / trace).is_file() or not (data / folder).is_dir():
        raise SkipBenchmark(
            f"needs {trace} (data/ of github.com/Azure/AzurePublicDataset @ b469a11) and {folder}/GPU/meta-llama/"
            "Llama-2-7b-hf/mlp.csv (data/profiling of github.com/microsoft/vidur @ 7d47513) in --data DIR; "
            f"looked in {data}"
        )
    return _read(data, trace, folder)


@cache
def _read(data: Path, trace: str, folder: str) -> tuple[Floats, Floats]:
    sizes: Counter[tuple[int, int]] = Counter()
    with (data / trace).open() as lines:
        for row in csv.DictReader(lines):
            sizes[bucket(int(row["ContextTokens"])), bucket(int(row["GeneratedTokens"]))] += 1
    buckets = sorted(sizes)
    weights = np.array([float(sizes[one]) for one in buckets])
    kernels = [
        kernel_seconds(data / folder / card.folder / "meta-llama" / "Llama-2-7b-hf" / "mlp.csv") for card in CARDS
    ]
    throughput = [
        [requests_per_second(card, k, *one) for card, k in zip(CARDS, kernels, strict=True)] for one in buckets
    ]
    return weights / weights.sum(), np.array(throughput)


def bucket(tokens: int) -> int:
    """The next power of two."""
    return 1 << max(0, tokens - 1).bit_length()


def kernel_seconds(path: Path) -> tuple[Floats, Floats]:
    """(tokens, seconds of all layers' measured kernels, attention left out), one device."""
    taken: dict[int, list[float]] = defaultdict(list)
    with path.open() as lines:
        for row in csv.DictReader(lines):
            if row["num_tensor_parallel_workers"] == "1":
                named = (name for name in row if name.endswith(".median") and ".emb." not in name)
                taken[int(row["num_tokens"])].append(sum(float(row[name] or 0.0) for name in named))
    tokens = sorted(taken)
    return np.array(tokens, dtype=np.float64), np.array([statistics.median(taken[n]) for n in tokens]) * LAYERS / 1e3


def requests_per_second(card: Card, kernels: tuple[Floats, Floats], context: int, generated: int) -> float:
    """The most that one card answers within the objective; 0 if even one request at a time is too slow."""
    tokens, taken = kernels
    chunk = min(float(context), tokens[-1])
    prefill = float(np.interp(chunk, tokens, taken)) * context / chunk
    held = TOKEN_BYTES * float(context + generated)
    most = int((0.9 * card.memory_bytes - WEIGHT_BYTES) // held)
    for batch in range(min(256, most), 0, -1):
        step = float(np.interp(batch, tokens, taken)) + batch * held / card.bytes_per_second
        if step <= TOKEN_SECONDS:
            return 1.0 / (prefill + generated * step / batch)
    return 0.0
