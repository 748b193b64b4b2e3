"""The last step of an uninstallation: take our finalizers off, so that what is kept can still be deleted.

Only once no operator leads any more, because a living one would put them on again. Nothing else is touched: neither
the objects nor what they made in any cluster.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from polyhull.domain.errors import InvalidInput, Refused
from polyhull.kube.client import ClusterClient
from polyhull.kube.resources import (
    DATA_SETS,
    INFERENCE_JOBS,
    LEASES,
    TRAINING_JOBS,
    Manifest,
    Ref,
    ref_of,
    version_of,
)
from polyhull.render import naming

GUARDED = (TRAINING_JOBS, INFERENCE_JOBS, DATA_SETS)
"""The kinds that carry the finalizer."""
_ATTEMPTS = 5
_LOOK_SECONDS = 0.5


def release(kubeconfig: Path | None, context: str | None, lease: tuple[str, str]) -> int:
    """Number of objects whose finalizer was taken off. `lease`: namespace and name of the operator's.

    Raises InvalidInput while an operator leads. Waits for a Lease that nobody gave back to run out.
    """
    return asyncio.run(_release(kubeconfig, context, Ref(LEASES, *lease)))


async def _release(kubeconfig: Path | None, context: str | None, lease: Ref) -> int:
    path = None if kubeconfig is None else str(kubeconfig)
    count = 0
    async with await ClusterClient.from_default(path, context) as client:
        holder = await leader(lambda: client.find(lease), asyncio.sleep)
        if holder:
            remedy = "stop it first (helm uninstall, or replicas 0), then run this again"
            raise InvalidInput(str(lease), "", f"the operator {holder} still leads", remedy)
        for resource in GUARDED:
            for body in await client.list(resource):
                count += await _take_off(client, body)
    return count


async def leader(look: Callable[[], Awaitable[Manifest | None]], sleep: Callable[[float], Awaitable[None]]) -> str:
    """Who leads by the Lease that `look` reads; empty when nobody does any more.

    A holder that does not renew for as long as the Lease lasts is gone. Seen by looking twice, as the operators among
    themselves do, because this machine's clock need not be the cluster's.
    """
    lease = await look()
    version, waited = version_of(lease or {}), 0.0
    while lease is not None:
        spec: dict[str, Any] = lease.get("spec") or {}
        holder = str(spec.get("holderIdentity") or "")
        if not holder or waited > float(spec.get("leaseDurationSeconds") or 0):
            return ""
        if version_of(lease) != version:
            return holder
        await sleep(_LOOK_SECONDS)
        waited += _LOOK_SECONDS
        lease = await look()
    return ""


def operations(finalizers: list[str]) -> Iterator[dict[str, Any]]:
    """JSON patch that removes ours from the list, and fails when the list has changed meanwhile."""
    index = finalizers.index(naming.FINALIZER)
    path = f"/metadata/finalizers/{index}"
    yield {"op": "test", "path": path, "value": naming.FINALIZER}
    yield {"op": "remove", "path": path}


async def _take_off(client: ClusterClient, body: Manifest) -> bool:
    found: Manifest | None = body
    for attempt in range(_ATTEMPTS):
        finalizers = list((found or {}).get("metadata", {}).get("finalizers") or ())
        if naming.FINALIZER not in finalizers:
            return False
        try:
            await client.patch_json(ref_of(body), list(operations(finalizers)))
            return True
        except Refused as refused:
            if refused.status == 404:
                return False
            if refused.status not in (409, 422) or attempt == _ATTEMPTS - 1:
                raise
        found = await client.find(ref_of(body))
    return False
