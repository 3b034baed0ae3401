"""The network in a thread of its own, so that it is never idle while the database works, nor the other way round."""

from collections.abc import Iterable
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Generic, NamedTuple, Self, TypeVar

from notifications.transports.fcm import FcmTransport
from notifications.transports.results import FcmResult

TURN = 0.02  # seconds; new orders wait at most so long

K = TypeVar("K")


class Order(NamedTuple, Generic[K]):
    """One message: its JSON, the key of its answer, and the moment (monotonic) until which it may begin."""

    key: K
    body: bytes
    latest: float


class Sender(Generic[K]):
    """Takes orders and gives answers, one each, in any order. What is in flight at the end is abandoned."""

    def __init__(self, transport: FcmTransport) -> None:
        self.project = transport.project_id
        self._transport = transport
        self._orders: SimpleQueue[list[Order[K]] | None] = SimpleQueue()
        self._answers: SimpleQueue[list[tuple[K, FcmResult]] | BaseException] = SimpleQueue()
        self._thread = Thread(target=self._work, name="fcm", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._orders.put(None)
        self._thread.join()

    def submit(self, orders: list[Order[K]]) -> None:
        self._orders.put(orders)

    def answers(self, wait: float) -> list[tuple[K, FcmResult]]:
        """All answers that are there; waits up to `wait` seconds for the first. Raises what broke the network."""
        found: list[tuple[K, FcmResult]] = []
        try:
            batch = self._answers.get(timeout=wait)
            while True:
                if isinstance(batch, BaseException):
                    raise batch
                found += batch
                batch = self._answers.get_nowait()
        except Empty:
            return found

    def _work(self) -> None:
        try:
            while (orders := self._next_orders()) is not None:
                for order in orders:
                    self._transport.submit(order.key, order.body, latest=order.latest)
                if answered := self._transport.turn(TURN):
                    self._answers.put(answered)
        except BaseException as error:  # whoever waits for the answers must hear of it
            self._answers.put(error)
        finally:
            if self._transport.pending:  # the connections of a dispatcher that has done its work stay open
                self._transport.close()

    def _next_orders(self) -> Iterable[Order[K]] | None:
        """Waits for orders only when there is nothing else to do; None is the end."""
        try:
            return self._orders.get(block=not self._transport.pending)
        except Empty:
            return ()
