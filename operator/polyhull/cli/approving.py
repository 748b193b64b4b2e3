"""`polyhull approve`: says yes to a recommended plan, by the hash of what it is."""

import asyncio
from pathlib import Path
from typing import Any

from polyhull.domain.errors import InvalidInput
from polyhull.kube.client import ClusterClient
from polyhull.kube.resources import PLACEMENT_PLANS, Ref
from polyhull.render import naming

NEWEST = "newest"


def approve(name: str, kubeconfig: Path | None, context: str | None) -> tuple[str, str]:
    """Name and hash of the plan that is approved now; `newest` means the one recommended last.

    Raises InvalidInput when there is no such plan, or it recommends nothing.
    """
    return asyncio.run(_approve(name, kubeconfig, context))


async def _approve(name: str, kubeconfig: Path | None, context: str | None) -> tuple[str, str]:
    path = None if kubeconfig is None else str(kubeconfig)
    async with await ClusterClient.from_default(path, context) as client:
        plan = chosen(await client.list(PLACEMENT_PLANS), name.removeprefix("placementplan/"))
        ref = Ref(PLACEMENT_PLANS, "", plan["metadata"]["name"])
        told = str(plan["status"]["planHash"])
        # The version seen is a precondition: what is approved is what was read.
        patch = {
            "metadata": {"resourceVersion": plan["metadata"]["resourceVersion"]},
            "spec": {"approval": {"planHash": told}},
        }
        await client.patch_merge(ref, patch)
        return ref.name, told


def chosen(plans: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The plan of that name. Raises InvalidInput."""
    asking = [plan for plan in plans if naming.APPROVES in (plan["metadata"].get("annotations") or {})]
    asking.sort(key=lambda plan: (str((plan.get("status") or {}).get("plannedTime")), plan["metadata"]["name"]))
    if name == NEWEST and asking:
        return asking[-1]
    found = next((plan for plan in plans if plan["metadata"]["name"] == name), None)
    if found is not None and found in asking and (found.get("status") or {}).get("planHash"):
        return found
    names = ", ".join(plan["metadata"]["name"] for plan in asking[-3:])
    remedy = f"one of {names}" if names else "plans ask for approval where the policy's mode is Observe or Recommend"
    problem = "recommends nothing that could be approved" if found is not None else "there is no such plan"
    raise InvalidInput(f"PlacementPlan {name}", "", problem, remedy)
