"""A kind whose CRD has only just been applied is waited for; any other refusal is one."""

import pytest

from polyhull.domain.errors import Refused
from polyhull.kube.resources import SITES, TRAINING_JOBS
from polyhull.kube.served import list_all
from tests.unit.kube.small_api import SmallApi, once, run, status

SITE = "/apis/polyhull.io/v1alpha1/sites"


def test_a_kind_that_is_not_served_yet_is_waited_for() -> None:
    async def work() -> None:
        said: list[str] = []
        api = SmallApi()
        api.missing.add(SITE)

        async def sleep(seconds: float) -> None:
            if len(api.requests) > 3:
                api.missing.clear()

        async with api.serve(), api.client() as client:
            await api.put(f"{SITE}/edge")
            found = await list_all(client, [TRAINING_JOBS, SITES], said.append, sleep)
        assert [body["metadata"]["name"] for body in found] == ["edge"]
        assert len(said) == 2  # once, however long it lasts
        assert "sites.polyhull.io is not served: apply the CRDs" in said[0]
        assert said[1] == ""

    run(work())


def test_another_refusal_is_one() -> None:
    async def work() -> None:
        async with SmallApi().serve() as api, api.client() as client:
            api.faults += once(lambda: status(403, "Forbidden"))
            with pytest.raises(Refused, match="403"):
                await list_all(client, [SITES])

    run(work())
