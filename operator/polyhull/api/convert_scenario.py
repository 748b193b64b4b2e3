"""PlacementScenario to the changes it asks about, and what was answered to its status."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from polyhull.api import convert_fleet, convert_jobs
from polyhull.api.convert_common import findings_for, model_of
from polyhull.api.results import Converted, Findings
from polyhull.api.status import decimal
from polyhull.api.v1alpha1 import scenario as kinds
from polyhull.api.v1alpha1.common import API_VERSION
from polyhull.domain import scenario as changes
from polyhull.domain.difference import Difference, Fate, JobDifference
from polyhull.domain.fleet import AcceleratorType
from polyhull.domain.resources import Resources
from polyhull.domain.workloads import Key

Raw = Mapping[str, Any]
MOST_JOBS = 100


def scenario(
    raw: Raw | kinds.PlacementScenario,
    accelerators: Sequence[AcceleratorType] = (),
    *,
    file: str = "",
    strict: bool = False,
) -> Converted[tuple[changes.Change, ...]]:
    """Its changes. What they name is looked up when they are made: pools come and go."""
    entry, failed = model_of(raw, kinds.PlacementScenario, file, strict)
    if entry is None:
        assert failed is not None
        return failed
    found = findings_for(entry, file)
    out = [_change(change, f"spec.changes[{i}]", accelerators, found) for i, change in enumerate(entry.spec.changes)]
    return found.done(tuple(change for change in out if change is not None))


def _change(
    change: kinds.Change, at: str, accelerators: Sequence[AcceleratorType], found: Findings
) -> changes.Change | None:
    if change.submit_job is not None:
        return _submitted(change.submit_job, f"{at}.submitJob", accelerators, found)
    for name, convert in _PLAIN.items():
        if (part := getattr(change, name)) is not None:
            return convert(part, at, found)
    raise AssertionError("the schema lets exactly one through")


def _add_devices(part: kinds.AddDevices, at: str, found: Findings) -> changes.AddDevices:
    shape = None
    if part.capacity is not None:
        shape = Resources(
            part.devices_per_node or part.devices,
            found.millicores(f"{at}.addDevices.capacity.cpu", part.capacity.cpu),
            found.whole(f"{at}.addDevices.capacity.memory", part.capacity.memory),
            found.whole(f"{at}.addDevices.capacity.ephemeralStorage", part.capacity.ephemeral_storage),
            part.capacity.pods,
        )
    return changes.AddDevices(part.cluster, part.accelerator, part.devices, shape)


def _set_link(part: kinds.ScaleLink, at: str, found: Findings) -> changes.SetLink:
    bandwidth = found.whole(f"{at}.setLink.bandwidth", part.bandwidth, most=10**18)
    return changes.SetLink(part.source, part.target, float(bandwidth))


def _set_objective(part: kinds.SetObjective, at: str, found: Findings) -> changes.SetObjective:
    """What the policy would not take a scenario may not ask for either."""
    policy = {
        "apiVersion": API_VERSION,
        "kind": "PlacementPolicy",
        "metadata": {"name": "default"},
        "spec": {"objective": list(part.objective)},
    }
    converted = convert_fleet.fleet_policy(policy)
    for refusal in converted.refusals:
        found.refuse(f"{at}.setObjective.objective", refusal.message, refusal.reason)
    for problem in converted.problems:
        found.invalid(f"{at}.setObjective.objective", problem.problem, problem.remedy)
    return changes.SetObjective(tuple(part.objective))


def _submitted(
    part: kinds.SubmitJob, at: str, accelerators: Sequence[AcceleratorType], found: Findings
) -> changes.SubmitJob | None:
    """By the same way as a TrainingJob, so that it would be planned as it is here."""
    converted = convert_jobs.training_job(_training_job(part), accelerators)
    for problem in converted.problems:
        found.invalid(f"{at}.{problem.field.removeprefix('spec.')}", problem.problem, problem.remedy)
    for refusal in converted.refusals:
        found.refuse(f"{at}.{refusal.field.removeprefix('spec.')}", refusal.message, refusal.reason)
    return None if converted.value is None else changes.SubmitJob(converted.value)


def _training_job(part: kinds.SubmitJob) -> dict[str, Any]:
    options = []
    for option in part.options:
        body = option.model_dump(by_alias=True, exclude_none=True, exclude={"cpu", "memory"})
        asked = {name: getattr(option, name) for name in ("cpu", "memory") if getattr(option, name) is not None}
        options.append({**body, "template": {"image": "scenario", "resources": {"requests": asked}}})
    spec: dict[str, Any] = {"work": part.work.model_dump(by_alias=True, exclude_none=True), "options": options}
    if part.priority is not None:
        spec["priority"] = part.priority
    if part.data:
        spec["data"] = [entry.model_dump(by_alias=True, exclude_none=True) for entry in part.data]
    metadata = {"name": part.name, "namespace": part.namespace}
    return {"apiVersion": API_VERSION, "kind": "TrainingJob", "metadata": metadata, "spec": spec}


def submission(raw: Raw) -> dict[str, Any]:
    """A TrainingJob somebody wrote, as the change that submits it: what the plan does not read is left out."""
    spec = raw.get("spec") or {}
    base = spec.get("template") or {}
    options = []
    for option in spec.get("options") or ():
        kept = {k: option[k] for k in ("name", "accelerator", "replicas", "devicesPerReplica", "rate") if k in option}
        options.append({**_requests(base), **_requests(option.get("template") or {}), **kept})
    change = {
        "namespace": raw["metadata"].get("namespace") or "default",
        "name": raw["metadata"]["name"],
        "work": spec.get("work"),
        "options": options,
    }
    if "priority" in spec:
        change["priority"] = spec["priority"]
    if spec.get("data"):
        change["data"] = [{name: entry[name] for name in _READ if name in entry} for entry in spec["data"]]
    return {"submitJob": change}


_READ = ("name", "dataSetRef", "access", "chunks")


def _requests(template: Mapping[str, Any]) -> dict[str, Any]:
    resources = template.get("resources") or {}
    asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: asked[name] for name in ("cpu", "memory") if name in asked}


def _key(part: kinds.ScenarioJob) -> Key:
    return Key(part.namespace, part.name, part.kind)


_PLAIN: Mapping[str, Callable[[Any, str, Findings], changes.Change]] = {
    "add_devices": _add_devices,
    "add_nodes": lambda part, at, found: changes.AddNodes(part.pool, part.nodes),
    "resize_pool": lambda part, at, found: changes.ResizePool(part.pool, part.nodes),
    "set_link": _set_link,
    "lose_cluster": lambda part, at, found: changes.LoseCluster(part.cluster),
    "set_objective": _set_objective,
    "remove_job": lambda part, at, found: changes.RemoveJob(_key(part)),
    "set_priority": lambda part, at, found: changes.SetPriority(_key(part), part.priority),
    "set_device_limit": lambda part, at, found: changes.SetDeviceLimit(part.policy, part.accelerator, part.devices),
    "add_copy": lambda part, at, found: changes.AddCopy(Key(part.namespace, part.name, "DataSet"), part.site),
}


def answer(found: Difference, most_jobs: int | None = MOST_JOBS) -> dict[str, Any]:
    """The fields of `status` that an answer fills; those it does not fill are None."""
    before, after = found.before, found.after
    gain = 1.0 - after.makespan_seconds / before.makespan_seconds if before.makespan_seconds > 0.0 else 0.0
    return {
        "changes": [text[:512] for text in found.changes],
        "baseMakespanSeconds": round(before.makespan_seconds),
        "makespanSeconds": round(after.makespan_seconds),
        "baseLowerBoundSeconds": round(before.lower_bound_seconds),
        "lowerBoundSeconds": round(after.lower_bound_seconds),
        "boundKind": after.bound_kind.value,
        "baseGap": _decimal(before.gap),
        "gap": _decimal(after.gap),
        "gain": f"{gain:.4f}",
        "baseCost": _decimal(before.cost),
        "cost": _decimal(after.cost),
        "baseEnergyJoules": _decimal(before.energy_joules),
        "energyJoules": _decimal(after.energy_joules),
        "earlier": found.count(Fate.EARLIER),
        "later": found.count(Fate.LATER),
        "moved": found.moved,
        "placed": found.count(Fate.PLACED),
        "unplaced": found.count(Fate.UNPLACED),
        "jobs": [_job(one) for one in found.jobs[:most_jobs]] or None,
        "basePlanHash": before.plan_hash,
    }


_FIELDS = (
    "changes", "baseMakespanSeconds", "makespanSeconds", "baseLowerBoundSeconds", "lowerBoundSeconds", "boundKind",
    "baseGap", "gap", "gain", "baseCost", "cost", "baseEnergyJoules", "energyJoules", "earlier", "later", "moved",
    "placed", "unplaced", "jobs", "basePlanHash", "answeredTime",
)  # fmt: skip
UNANSWERED: Mapping[str, None] = dict.fromkeys(_FIELDS)
"""An answer taken back."""


def _job(one: JobDifference) -> dict[str, Any]:
    later = one.later_seconds
    body = {
        "kind": one.job.kind,
        "namespace": one.job.namespace,
        "name": one.job.name,
        "fate": one.fate.value,
        "fromPool": one.from_pool[:1024] or None,
        "toPool": one.to_pool[:1024] or None,
        "laterSeconds": None if later is None else round(later),
        "reason": one.reason[:1024] or None,
    }
    return {name: value for name, value in body.items() if value is not None}


def _decimal(value: float | None) -> str | None:
    return None if value is None else decimal(value)
