"""kopf as it is started."""

import asyncio
import getpass
from typing import Any

import pytest

from polyhull.controller import handlers


class Reached(Exception):
    """The tasks are there."""


def test_it_starts_where_the_user_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs as a number which is in no /etc/passwd."""

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 65532")

    monkeypatch.setattr(getpass, "getuser", nameless)

    kept: set[asyncio.Task[Any]] = set()

    def started() -> None:
        kept.update(asyncio.all_tasks())  # kopf leaves them behind, and asyncio alone would let them be collected
        raise Reached

    async def login() -> handlers.Login:
        raise AssertionError("nothing is asked of the hub")

    async def story() -> None:
        with pytest.raises(Reached):
            await handlers.run(handlers.registry(None, login, lambda *given: None), started)  # type: ignore[arg-type]

    asyncio.run(story())
