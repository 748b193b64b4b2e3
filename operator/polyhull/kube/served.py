"""The first list of our kinds, beside a fresh installation.

For a moment after a CustomResourceDefinition was applied the API server answers 404 for its objects. An operator that
starts within that moment waits; it does not take the kind for empty, and it does not crash.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from polyhull.domain.errors import Refused
from polyhull.kube.client import ClusterClient
from polyhull.kube.resources import Resource
from polyhull.kube.transport import Object

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0


async def list_all(
    client: ClusterClient,
    resources: Iterable[Resource],
    waiting: Callable[[str], None] = lambda problem: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    kept: Callable[[Object], Object] = lambda item: item,
) -> list[Object]:
    """All objects of these kinds, once each is served. `waiting` is told what is waited for, and "" when it is over;
    `kept`: what is wanted of each.

    Raises Refused for any other answer than 404, and Unreachable.
    """
    found: list[Object] = []
    for resource in resources:
        told = ""
        while True:
            try:
                found += await client.list(resource, kept=kept)
                break
            except Refused as refused:
                if refused.status != 404:
                    raise
            if not told:
                told = f"{resource.label} is not served: apply the CRDs (`polyhull crds`)"
                logger.warning("waiting: %s", told)
                waiting(told)
            await sleep(PAUSE_SECONDS)
        if told:
            waiting("")
    return found
