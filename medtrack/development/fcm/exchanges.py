"""What the HTTP protocols and the application share: a request, its answer, and the open exchange."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class Request:
    method: str
    path: str
    authorization: str
    body: bytes


@dataclass(slots=True, frozen=True)
class Answer:
    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, status: int, content: Mapping[str, object], *headers: tuple[str, str]) -> "Answer":
        return cls(status, json.dumps(content, ensure_ascii=False).encode(), headers)


class Exchange(ABC):
    """One request that has no answer yet. After the client has disconnected, the methods do nothing."""

    gone: bool

    @abstractmethod
    def answer(self, answer: Answer) -> bool:
        """Sends the answer; returns False when the client has disconnected."""

    @abstractmethod
    def drop(self) -> None:
        """Ends this exchange without an answer."""

    @abstractmethod
    def close_connection(self) -> None:
        """Closes the whole connection without an answer. Earlier answers on it are still sent."""
