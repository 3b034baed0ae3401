"""What passes between the HTTP protocols and the application: a request, its answer, and the exchange
that is still open between the two."""

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
    """One request that has not been answered yet. Every method is harmless once the client is gone."""

    gone: bool

    @abstractmethod
    def answer(self, answer: Answer) -> bool:
        """Hands the answer to the connection; False when there was nobody left to take it."""

    @abstractmethod
    def drop(self) -> None:
        """Ends this exchange without an answer."""

    @abstractmethod
    def close_connection(self) -> None:
        """Closes the whole connection without answering; answers given before still leave."""
