"""The Lease kept from a thread, an event loop and a connection of its own.

Ten thousand objects to look at, or a thousand writes that wait for their share of the API's rate, must not keep the
Lease from being renewed in time. A thread that renews whatever happens would hide a loop that does not turn at all:
`alive` is asked before each renewal, and without it the Lease is let go for another replica.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future

from polyhull.kube.client import ClusterClient
from polyhull.kube.lease import Elector

STOP_SECONDS = 5.0
"""How long a stop waits for the Lease to be given back."""


class Leader:
    """`connect` opens a client and `elect` makes the elector that uses it; both are called in the thread.

    So are the elector's callbacks.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[ClusterClient]], elect: Callable[[ClusterClient], Elector]
    ) -> None:
        self._connect, self._elect = connect, elect
        self._elector: Elector | None = None
        self._stop: Callable[[], object] = lambda: None

    @property
    def leading(self) -> bool:
        """Whether this process may act now; from any thread."""
        return self._elector is not None and self._elector.leading

    async def run(self) -> None:
        """Lead until cancelled, then give the Lease back. Raises what the thread ended with."""
        ended: Future[None] = Future()
        threading.Thread(target=self._thread, args=(ended,), name="lease", daemon=True).start()
        try:
            await asyncio.shield(asyncio.wrap_future(ended))
        finally:
            self._stop()
            await asyncio.wait([asyncio.wrap_future(ended)], timeout=STOP_SECONDS)

    def _thread(self, ended: "Future[None]") -> None:
        try:
            asyncio.run(self._lead())
        except asyncio.CancelledError:
            ended.set_result(None)
        except BaseException as error:
            ended.set_exception(error)
        else:
            ended.set_result(None)

    async def _lead(self) -> None:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        self._stop = lambda: None if loop.is_closed() else loop.call_soon_threadsafe(task.cancel)
        async with await self._connect() as client:
            self._elector = self._elect(client)
            await self._elector.run()
