"""kopf as it is started."""

import asyncio
import getpass

import pytest

from polyhull.controller import handlers


class Reached(Exception):
    """The tasks are there."""


def test_it_starts_where_the_user_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs as a number which is in no /etc/passwd."""

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 65532")

    monkeypatch.setattr(getpass, "getuser", nameless)

    def started() -> None:
        raise Reached

    async def login() -> handlers.Login:
        raise AssertionError("nothing is asked of the hub")

    async def story() -> None:
        with pytest.raises(Reached):
            await handlers.run(handlers.registry(None, login, lambda *given: None), started)  # type: ignore[arg-type]

    asyncio.run(story())
