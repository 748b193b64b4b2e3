"""Numbers from 1e-9 to 1e15 in every field, in fleets of every shape: a plan for the rest, a reason for the one.

Through the same door as `polyhull plan -f`: what the schema or the conversion refuses is refused with a sentence,
what they let in is planned without an exception, NaN or violation.
"""

import math
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from polyhull.api.files import snapshot_from_files
from polyhull.domain.decision import Decision
from polyhull.domain.snapshot import Snapshot
from polyhull.planning.decide import decide, quick
from polyhull.planning.report import document
from tests.properties.amount import examples

API = "polyhull.io/v1alpha1"
NUMBERS = ("0.000000001", "0.001", "1", "3.7", "1000", "1000000000", "999999999999999")
BYTES = ("1", "1k", "1Gi", "1T", "1P")
BITS = ("1", "1k", "1M", "10G", "1P")
MILLISECONDS = ("0", "0.001", "10", "100000")
SITES = ("a", "b", "c", "d")
KINDS = ("cpu", "nvidia-v100", "ascend-910b")
Raw = dict[str, Any]


def ours(kind: str, name: str, spec: Raw, **metadata: str) -> Raw:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


def fleet(dice: Random) -> list[Raw]:
    """Cycles of links, sites without any, links without a bandwidth worth the name, members without pools."""
    out = [ours("Site", name, {"tier": "Edge"}) for name in SITES]
    for a in SITES:
        for b in SITES:
            if a != b and dice.random() < 0.4:
                way = {"bandwidth": dice.choice(BITS), "latencyMilliseconds": dice.choice(MILLISECONDS)}
                out.append(ours("Link", f"{a}-{b}", {"from": a, "to": b, **way}))
    for name in SITES[: dice.randint(1, 4)]:
        room = {"volume": {"storageClassName": "x", "capacity": dice.choice(BYTES)}}
        secret = {"kubeconfigSecretRef": {"name": name}}
        out.append(ours("MemberCluster", name, {"siteRef": {"name": name}, "storage": room, **secret}))
        for kind in dice.sample(KINDS, dice.randint(0, 3)):
            size = {"cpu": dice.choice(("1", "64", "100000")), "memory": dice.choice(("1Mi", "512Gi", "1P"))}
            pool: Raw = {
                "cluster": name,
                "accelerator": kind,
                "nodeSelector": {"kind": f"{name}-{kind}"},
                "devicesPerNode": dice.choice((0, 1, 8, 1000)),
                "capacity": {"nodes": dice.choice((0, 1, 3, 300)), **size},
            }
            if dice.random() < 0.5:
                pool["pricePerDeviceHour"] = dice.choice(("0", "0.000000001", "999999999999"))
            if dice.random() < 0.2:
                pool["autoscaling"] = {"maxNodes": dice.choice((1, 10_000)), "provisionSeconds": 86_400}
            out.append(ours("ComputePool", f"{name}-{kind}", pool))
    return out


def work(dice: Random) -> list[Raw]:
    out = []
    for name in ("near", "far", "tiny"):
        homes = dice.sample(SITES, dice.randint(1, 3))
        replicas = [{"site": at, "url": f"s3://{at}/{name}", "secretName": "s"} for at in homes]
        out.append(ours("DataSet", name, {"size": dice.choice(BYTES), "replicas": replicas}, namespace="team"))
    for k in range(dice.randint(0, 6)):
        options = [
            {
                "name": kind,
                "accelerator": kind,
                "replicas": dice.choice((1, 2, 200)),
                "devicesPerReplica": dice.choice((1, 8, 1000)),
                "rate": dice.choice(NUMBERS),
            }
            for kind in dice.sample(KINDS, dice.randint(1, 3))
        ]
        names = dice.sample(("near", "far", "tiny"), dice.randint(0, 2))
        spec = {
            "work": {"quantity": dice.choice(NUMBERS)},
            "options": options,
            "data": [{"name": name, "dataSetRef": {"name": name}} for name in names],
            "template": {"image": "x"},
        }
        if dice.random() < 0.2:
            spec["deadline"] = dice.choice(("1970-01-01T00:00:01Z", "2030-01-01T00:00:00Z", "9999-12-31T23:59:59Z"))
        out.append(ours("TrainingJob", f"job-{k}", spec, namespace="team"))
    if dice.random() < 0.4:
        variant = {
            "name": "v",
            "accelerator": dice.choice(KINDS),
            "devicesPerReplica": dice.choice((1, 8)),
            "rate": dice.choice(NUMBERS),
            "serviceMilliseconds": dice.choice((1, 100, 100000)),
            "quality": "0.8",
        }
        chat = {
            "mode": "Online",
            "demand": [{"site": dice.choice(SITES), "requestsPerSecond": dice.choice(NUMBERS)}],
            "objective": {"latencyMilliseconds": dice.choice((1, 300, 100000)), "percentile": dice.choice((50, 99))},
            "variants": [variant],
            "template": {"image": "x"},
        }
        out.append(ours("InferenceJob", "chat", chat, namespace="team"))
    return out


def policy(dice: Random) -> Raw:
    spec: Raw = {"solver": {"searchSteps": 20}, "startupSeconds": dice.choice((0, 30, 3600))}
    if dice.random() < 0.3:
        spec["objective"] = dice.choice((["WeightedCompletion"], ["Cost", "Makespan"], ["MaxMinFairness"]))
    return ours("PlacementPolicy", "default", spec)


def read(objects: list[Raw]) -> tuple[Snapshot, list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "objects.yaml").write_text(yaml.safe_dump_all(objects))
        snapshot, findings = snapshot_from_files([Path(folder)], now=0.0)
    return snapshot, [str(one) for one in findings]


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [one for entry in value.values() for one in numbers(entry)]
    if isinstance(value, (list, tuple)):
        return [one for entry in value for one in numbers(entry)]
    return [value] if isinstance(value, float) else []


def fit(snapshot: Snapshot, plan: Decision) -> None:
    assert plan.violations == ()
    told = {one.job for one in plan.assignments} | {one.job for one in plan.unplaced}
    assert told >= {job.key for job in snapshot.jobs}
    assert {one.service for one in plan.services} | told >= {one.key for one in snapshot.services}
    assert all(one.reason and one.message for one in plan.unplaced)
    assert plan.lower_bound_seconds <= plan.makespan_seconds * (1 + 1e-9) or not plan.assignments
    assert all(math.isfinite(one) for one in numbers(document(plan)))


# A seed that fails is shown as it is: there is nothing to shrink in a number that only feeds the dice.
@settings(examples(25), phases=[Phase.explicit, Phase.generate])
@given(st.integers(0, 2**32))
def test_extremes_get_a_plan_or_a_reason(seed: int) -> None:
    dice = Random(seed)
    snapshot, findings = read([*fleet(dice), *work(dice), policy(dice)])
    assert all("; " in one for one in findings), "each says what to do instead"
    for plan in (decide(snapshot), quick(snapshot)):
        fit(snapshot, plan)


def test_a_thousand_identical_jobs_and_one_that_fits_nowhere() -> None:
    """Currencies absent: nothing has a price, and cost is said to be unknown, not zero."""
    member = ours("MemberCluster", "a", {"siteRef": {"name": "a"}, "kubeconfigSecretRef": {"name": "a"}})
    pool = {
        "cluster": "a",
        "accelerator": "nvidia-v100",
        "nodeSelector": {"kind": "v100"},
        "devicesPerNode": 8,
        "capacity": {"nodes": 10, "cpu": "64", "memory": "512Gi"},
    }
    option = {"name": "o", "accelerator": "nvidia-v100", "devicesPerReplica": 1, "rate": "1"}
    same = {"work": {"quantity": "60"}, "options": [option], "template": {"image": "x"}}
    wide = {**same, "options": [{**option, "devicesPerReplica": 9}]}
    late = {**same, "deadline": "1970-01-01T00:00:01Z"}
    jobs = [ours("TrainingJob", f"job-{k:04d}", same, namespace="team") for k in range(1000)]
    jobs += [ours("TrainingJob", name, spec, namespace="team") for name, spec in (("wide", wide), ("late", late))]
    rules = ours("PlacementPolicy", "default", {"objective": ["Cost", "Makespan"], "solver": {"searchSteps": 20}})
    objects = [ours("Site", "a", {"tier": "Cloud"}), member, ours("ComputePool", "v", pool), rules, *jobs]
    snapshot, findings = read(objects)
    assert findings == []
    plan = decide(snapshot)
    fit(snapshot, plan)
    assert {one.job.name: one.reason for one in plan.unplaced}.keys() <= {"wide", "late"}
    assert next(one for one in plan.unplaced if one.job.name == "wide").reason == "PoolTooSmall"
    assert document(plan)["cost"]["total"] is None
