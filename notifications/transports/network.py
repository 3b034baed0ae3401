"""libcurl's transfers moved by epoll: many requests over few HTTP/2 connections in one thread. Knows nothing of FCM."""

import select
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import pycurl


class Landed(NamedTuple):
    """A transfer that has ended; `error` is libcurl's sentence when it failed."""

    handle: Any
    error: str


class Network:
    """One libcurl multi handle. What it was given it holds until it has landed or `close` is called."""

    def __init__(self, *, connections: int) -> None:
        self._epoll = select.epoll()
        self._watched: set[int] = set()
        self._alarm: float | None = None
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, connections)
        self._multi.setopt(pycurl.M_MAXCONNECTS, connections)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_alarm)

    def start(self, handle: Any) -> None:
        """The request leaves with the next `push` or `turn`."""
        self._multi.add_handle(handle)

    def push(self) -> None:
        """Does what is due by libcurl's clock, the requests just started among it, without waiting."""
        while self._alarm is not None and self._alarm <= time.monotonic():
            self._alarm = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)

    def turn(self, wait: float) -> list[Landed]:
        """Waits for the network up to `wait` seconds, reads what is there and gives what has landed."""
        self.push()
        landed = list(self._landed())
        if landed:
            wait = 0.0
        elif self._alarm is not None:
            wait = min(wait, max(0.0, self._alarm - time.monotonic()))
        for descriptor, events in self._epoll.poll(wait):
            if descriptor in self._watched:
                self._multi.socket_action(descriptor, _curl_events(events))
        self.push()
        landed.extend(self._landed())
        return landed

    def close(self) -> None:
        """Ends every connection. A handle that has not landed is to be closed before."""
        self._multi.close()
        self._epoll.close()

    def _landed(self) -> Iterator[Landed]:
        more = True
        while more:
            more, done, failed = self._multi.info_read()
            for handle in done:
                self._multi.remove_handle(handle)
                yield Landed(handle, "")
            for handle, _code, error in failed:
                self._multi.remove_handle(handle)
                yield Landed(handle, error or "unknown error")

    def _watch(self, what: int, descriptor: int, _multi: Any, _data: Any) -> None:
        if what == pycurl.POLL_REMOVE:
            self._watched.discard(descriptor)
            with suppress(OSError):  # closing it has taken it off already
                self._epoll.unregister(descriptor)
            return
        events = _EPOLL_EVENTS[what]
        try:
            self._epoll.modify(descriptor, events)
        except FileNotFoundError:
            self._epoll.register(descriptor, events)
        self._watched.add(descriptor)

    def _set_alarm(self, milliseconds: int) -> None:
        self._alarm = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000


_EPOLL_EVENTS = {
    pycurl.POLL_NONE: 0,
    pycurl.POLL_IN: select.EPOLLIN,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
}


def _curl_events(events: int) -> int:
    selected = pycurl.CSELECT_IN if events & (select.EPOLLIN | select.EPOLLHUP) else 0
    if events & select.EPOLLOUT:
        selected |= pycurl.CSELECT_OUT
    if events & select.EPOLLERR:
        selected |= pycurl.CSELECT_ERR
    return int(selected)
