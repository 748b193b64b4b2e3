"""Verdicts that are kept say what judging anew would say, whatever changed in between."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhull.controller import jobs
from polyhull.controller.children import REFUSED, Member, News, Trouble
from polyhull.controller.hubjob import HubJob
from polyhull.controller.verdicts import Verdicts
from polyhull.delivery.base import PutStatus
from polyhull.domain.workloads import Key
from polyhull.render import naming

NOW = 1_800_000_000.0
AT = "2027-01-15T08:00:00Z"
KEYS = [Key("team", name, "TrainingJob") for name in ("one", "two")]


def hub_job(key: Key, **changes: Any) -> HubJob:
    """Released and bound, unless `changes` of its status say otherwise."""
    told = {"cluster": "a", "pool": "a/cpu", "option": "cpu", "replicas": 1, "releasedTime": AT}
    bound = {"type": "Placed", "status": "True", "reason": "Bound", "message": "", "lastTransitionTime": AT}
    status = {"assignment": told, "conditions": [bound], "startTime": AT} | changes
    metadata = {"name": key.name, "namespace": key.namespace, "uid": f"u-{key.name}", "generation": 1}
    raw = {"apiVersion": "polyhull.io/v1alpha1", "kind": key.kind, "metadata": metadata, "spec": {}, "status": status}
    return HubJob(raw, key)


def child(key: Key, phase: str, ended: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
    """Its Job and pod in the member."""
    name = naming.child_name(naming.Owner.of(key, f"u-{key.name}"))
    conditions = [{"type": ended, "status": "True", "lastTransitionTime": AT}] if ended else []
    job = {"apiVersion": "batch/v1", "kind": "Job", "spec": {"completions": 1}, "status": {"conditions": conditions}}
    job["metadata"] = {"name": name, "namespace": key.namespace, "uid": f"j-{key.name}", "labels": {}}
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": {"nodeName": "n"}, "status": {"phase": phase, "startTime": AT}}
    pod["metadata"] = {"name": name, "ownerReferences": [{"uid": f"j-{key.name}"}], "labels": {}}
    return job, pod


def member(shown: dict[str, tuple[dict[str, Any], dict[str, Any]]], **changes: Any) -> Member:
    children = {uid: (job,) for uid, (job, _) in shown.items()}
    return replace(
        Member("a", True, children=children, pods={uid: (pod,) for uid, (_, pod) in shown.items()}), **changes
    )


def told(job: HubJob, home: Member) -> HubJob:
    """With everything in its status that its member shows."""
    (put,) = (one for one in jobs.judge(job, {"a": home}, NOW).actions if isinstance(one, PutStatus))
    return replace(job, raw={**job.raw, "status": put.status})


CHANGES = (
    "phase",
    "ended",
    "gone",
    "status",
    "deleting",
    "suspend",
    "silent",
    "fenced",
    "news",
    "refused",
    "later",
    "exclusion",
)


@given(st.lists(st.tuples(st.sampled_from(CHANGES), st.sampled_from(KEYS)), max_size=8))
def test_kept_verdicts_are_those_of_judging_anew(story: list[tuple[str, Key]]) -> None:
    held, kept = {key: hub_job(key) for key in KEYS}, Verdicts()
    shown = {f"u-{key.name}": child(key, "Running") for key in KEYS}
    more: dict[str, Any] = {}
    refusals: dict[str, Trouble] = {}
    now = NOW
    for what, key in [("nothing", KEYS[0]), *story]:
        uid, raw = f"u-{key.name}", held[key].raw
        if what in ("phase", "ended") and uid in shown:
            shown[uid] = child(
                key, "Pending" if what == "phase" else "Succeeded", "" if what == "phase" else "Complete"
            )
        elif what == "gone":
            shown.pop(uid, None)
        elif what == "status":
            held[key] = hub_job(key, conditions=[])
        elif what == "exclusion":
            until = {"cluster": "a", "reason": "Unbound", "message": "", "untilTime": "2027-01-15T08:01:00Z"}
            held[key] = hub_job(key, assignment={}, exclusions=[until])
        elif what == "deleting":
            held[key] = HubJob({**raw, "metadata": {**raw["metadata"], "deletionTimestamp": AT}}, key)
        elif what == "suspend":
            held[key] = HubJob({**raw, "spec": {"suspend": True}}, key)
        elif what in ("silent", "fenced"):
            more |= {"silent": {"reachable": False}, "fenced": {"fenced": True}}[what]
        elif what == "news":
            more["news"] = (News(f"j-{key.name}", "FailedCreate", "exceeded quota"),)
        elif what == "refused":
            refusals[uid] = Trouble(REFUSED, "no", "a")
        elif what == "later":
            now += 200.0
        view: Any = SimpleNamespace(
            jobs=tuple(held.values()), members={"a": member(shown, **more)}, now=now, data_sets={}, transfers={}
        )
        for _ in range(2):
            anew = {job.key: jobs.judge(job, view.members, now, refusals.get(job.uid)) for job in view.jobs}
            assert kept.of(view, refusals) == anew


def test_what_did_not_change_is_not_judged_again(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[Key] = []
    judge = jobs.judge

    def counted(job: HubJob, *others: Any) -> Any:
        judged.append(job.key)
        return judge(job, *others)

    monkeypatch.setattr(jobs, "judge", counted)
    shown = {f"u-{key.name}": child(key, "Running") for key in KEYS}
    held, kept = {key: told(hub_job(key), member(shown)) for key in KEYS}, Verdicts()
    judged.clear()
    for _ in range(3):
        kept.of(SimpleNamespace(jobs=tuple(held.values()), members={"a": member(shown)}, now=NOW), {})  # type: ignore[arg-type]
    shown[f"u-{KEYS[1].name}"] = child(KEYS[1], "Running")
    shown[f"u-{KEYS[1].name}"][0]["status"] = {"failed": 1}
    view: Any = SimpleNamespace(jobs=tuple(held.values()), members={"a": member(shown)}, now=NOW)
    verdicts = kept.of(view, {})
    assert verdicts.keys() == set(KEYS)
    assert judged == [*KEYS, KEYS[1]]
