"""`polyhull what-if`: changes on the command line or in a file, answered from files, from a record, or by a cluster.

However it is asked, the question is a PlacementScenario, so that all three understand and refuse the same.
"""

import asyncio
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from polyhull.api.conditions import Type, get_condition
from polyhull.api.convert_scenario import answer, scenario, submission
from polyhull.api.files import load
from polyhull.api.v1alpha1.common import API_VERSION
from polyhull.cli.names import kind_and_name
from polyhull.cli.offline import prover, refuse
from polyhull.domain.errors import InvalidInput, Unreachable
from polyhull.domain.snapshot import Snapshot
from polyhull.kube.client import ClusterClient
from polyhull.kube.resources import PLACEMENT_SCENARIOS, Ref
from polyhull.planning.whatif import what_if

Raw = dict[str, Any]
LOOK_SECONDS = 0.5


def question(flags: Mapping[str, Sequence[str]], submit: Sequence[Path], files: Sequence[Path]) -> Raw:
    """The PlacementScenario of the command line. Raises InvalidInput that names the flag."""
    changes: list[Any] = []
    for file in files:
        changes += _changes_in(file)
    for flag, values in flags.items():
        changes += [_PARSERS[flag](f"--{flag} {value}", value) for value in values]
    for file in submit:
        changes += [submission(raw) for raw in _objects(file, "TrainingJob")]
    if not changes:
        raise InvalidInput("what-if", "", "nothing is to be changed", "name a change, such as --add-nodes POOL=1")
    metadata = {"name": f"what-if-{uuid.uuid4().hex[:8]}"}
    return {
        "apiVersion": API_VERSION, "kind": "PlacementScenario", "metadata": metadata, "spec": {"changes": changes}
    }  # fmt: skip


def offline(snapshot: Snapshot, raw: Raw, proof: bool) -> Raw:
    """The answer from a snapshot. Raises InvalidInput for a change that cannot be made."""
    converted = scenario(raw, snapshot.fleet.accelerators, file="what-if", strict=True)
    if converted.value is None or not converted.accepted:
        refuse((*converted.problems, *(one.as_problem("what-if") for one in converted.refusals)))
    assert converted.value is not None
    with prover(enabled=proof) as prove:
        found, _ = what_if(snapshot, converted.value, prove, "what-if")
    return {name: value for name, value in answer(found, None).items() if value is not None}


def online(raw: Raw, kubeconfig: Path | None, context: str | None, seconds: float) -> Raw:
    """The answer of a cluster's operator: a PlacementScenario is created, read and deleted."""
    return asyncio.run(_online(raw, kubeconfig, context, seconds))


async def _online(raw: Raw, kubeconfig: Path | None, context: str | None, seconds: float) -> Raw:
    path = None if kubeconfig is None else str(kubeconfig)
    ref = Ref(PLACEMENT_SCENARIOS, "", raw["metadata"]["name"])
    async with await ClusterClient.from_default(path, context) as client:
        await client.create(ref, raw)
        try:
            async with asyncio.timeout(seconds):
                return await _answered(client, ref)
        except TimeoutError:
            text = f"no answer within {seconds:g} s; does the operator run, and is it busy with the plan itself?"
            raise Unreachable(text) from None
        finally:
            await client.delete(ref)


async def _answered(client: ClusterClient, ref: Ref) -> Raw:
    while True:
        found = await client.get(ref)
        status: Raw = found.get("status") or {}
        conditions = status.pop("conditions", ())
        for kind in (Type.ACCEPTED, Type.ANSWERED):
            said = get_condition(conditions, kind)
            if said is not None and said["status"] == "False":
                raise InvalidInput("what-if", "", str(said["message"]), "correct it and ask again")
        said = get_condition(conditions, Type.ANSWERED)
        if said is not None and said["status"] == "True":
            return {name: value for name, value in status.items() if name != "observedGeneration"}
        await asyncio.sleep(LOOK_SECONDS)


def _changes_in(file: Path) -> list[Any]:
    found = _objects(file, "PlacementScenario")
    return [change for raw in found for change in (raw.get("spec") or {}).get("changes") or ()]


def _objects(file: Path, kind: str) -> list[Raw]:
    loaded = load([file])
    if loaded.findings:
        refuse(loaded.findings)
    found = [dict(document.raw) for document in loaded.documents if document.raw.get("kind") == kind]
    if not found:
        raise InvalidInput(str(file), "", f"holds no {kind}", "name a file with one")
    return found


def _matched(where: str, value: str, pattern: str, shape: str) -> Mapping[str, str]:
    match = re.fullmatch(pattern, value)
    if match is None:
        raise InvalidInput(where, "", "does not read as a change", f"write {shape}")
    return match.groupdict()


def _add_nodes(where: str, value: str) -> Raw:
    got = _matched(where, value, r"(?P<pool>[^=]+)=(?P<n>\d{1,9})", "POOL=NODES, such as edge-a/v100=1")
    return {"addNodes": {"pool": got["pool"], "nodes": int(got["n"])}}


def _add_devices(where: str, value: str) -> Raw:
    shape = "CLUSTER/ACCELERATOR=DEVICES, such as cloud-b/nvidia-h100=8"
    got = _matched(where, value, r"(?P<cluster>[^=/]+)/(?P<kind>[^=/]+)=(?P<n>\d{1,9})", shape)
    return {"addDevices": {"cluster": got["cluster"], "accelerator": got["kind"], "devices": int(got["n"])}}


def _resize(where: str, value: str) -> Raw:
    got = _matched(where, value, r"(?P<pool>[^=]+)=(?P<n>\d{1,9})", "POOL=NODES, such as edge-a/v100=0")
    return {"resizePool": {"pool": got["pool"], "nodes": int(got["n"])}}


def _link(where: str, value: str) -> Raw:
    shape = "FROM:TO=BANDWIDTH, such as edge-a:cloud-b=10G (0 takes the link away)"
    got = _matched(where, value, r"(?P<a>[^:=]+):(?P<b>[^:=]+)=(?P<bandwidth>[^:=]+)", shape)
    return {"setLink": {"from": got["a"], "to": got["b"], "bandwidth": got["bandwidth"]}}


def _job(where: str, value: str) -> Raw:
    shape = "KIND/NAMESPACE/NAME, such as trainingjob/team-a/resnet"
    got = _matched(where, value, r"(?P<kind>[^/]+)/(?P<namespace>[^/]+)/(?P<name>[^/]+)", shape)
    kind, name = kind_and_name(f"{got['kind']}/{got['name']}")
    return {"kind": kind, "namespace": got["namespace"], "name": name}


def _priority(where: str, value: str) -> Raw:
    shape = "KIND/NAMESPACE/NAME=PRIORITY, such as trainingjob/team-a/resnet=5"
    got = _matched(where, value, r"(?P<job>[^=]+)=(?P<n>-?\d{1,9})", shape)
    return {"setPriority": {**_job(where, got["job"]), "priority": int(got["n"])}}


def _copy(where: str, value: str) -> Raw:
    got = _matched(where, value, r"(?P<namespace>[^/@]+)/(?P<name>[^/@]+)@(?P<site>[^/@]+)", "NAMESPACE/DATASET@SITE")
    return {"addCopy": dict(got)}


def _device_limit(where: str, value: str) -> Raw:
    shape = "POLICY/ACCELERATOR=DEVICES, such as team-a/nvidia-h100=16"
    got = _matched(where, value, r"(?P<policy>[^=/]+)/(?P<kind>[^=/]+)=(?P<n>\d{1,9})", shape)
    return {"setDeviceLimit": {"policy": got["policy"], "accelerator": got["kind"], "devices": int(got["n"])}}


_PARSERS: Mapping[str, Callable[[str, str], Raw]] = {
    "add-nodes": _add_nodes,
    "add-devices": _add_devices,
    "resize": _resize,
    "link": _link,
    "lose-cluster": lambda where, value: {"loseCluster": {"cluster": value}},
    "objective": lambda where, value: {"setObjective": {"objective": value.split(",")}},
    "remove": lambda where, value: {"removeJob": _job(where, value)},
    "priority": _priority,
    "copy": _copy,
    "device-limit": _device_limit,
}
