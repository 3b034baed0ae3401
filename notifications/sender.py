"""Runs the transport in a thread of its own, so that the network and the database work at the same time."""

from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Generic, NamedTuple, Self, TypeVar

from notifications.transports.fcm import FcmTransport
from notifications.transports.results import FcmResult

TURN = 0.02  # seconds that new orders wait at most

K = TypeVar("K")


class Order(NamedTuple, Generic[K]):
    """One message: its JSON, the key of its answer, and the moment (monotonic) until which it may begin."""

    key: K
    body: bytes
    latest: float


class Sender(Generic[K]):
    """Takes orders and returns one answer for each, in any order.

    On exit, unanswered orders are abandoned.
    """

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
        """Returns all answers, after waiting up to `wait` seconds for the first.

        Raises what the thread raised.
        """
        answers: list[tuple[K, FcmResult]] = []
        try:
            batch = self._answers.get(timeout=wait)
            while True:
                if isinstance(batch, BaseException):
                    raise batch
                answers += batch
                batch = self._answers.get_nowait()
        except Empty:
            return answers

    def _work(self) -> None:
        try:
            while True:
                # Waits for orders only if no answer is awaited: otherwise the network is served as well.
                try:
                    orders = self._orders.get(block=not self._transport.pending)
                except Empty:
                    orders = []
                if orders is None:
                    break
                for order in orders:
                    self._transport.submit(order.key, order.body, latest=order.latest)
                if answered := self._transport.turn(TURN):
                    self._answers.put(answered)
        except BaseException as error:  # `answers` raises it in the caller's thread
            self._answers.put(error)
        finally:
            if self._transport.pending:  # otherwise the connections stay open for the next dispatch
                self._transport.close()
