"""How the demonstration's people come in: what a tab of a signed-in person can do, whichever way it is connected."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, Protocol

from coach_cli.demo.people import Person

Row = dict[str, Any]


class Tab(Protocol):
    """One open page of one signed-in person, with a connection of its own; every call is one transaction.

    Each raises Refusal where a rule says no, and Fault or Unavailable for anything else.
    """

    user_id: str

    def select(self, table: str, **equals: Any) -> list[Row]: ...

    def insert(self, table: str, **columns: Any) -> Row: ...

    def insert_unseen(self, table: str, **columns: Any) -> None:
        """A row that nobody may read as a whole."""

    def update(self, table: str, where: Mapping[str, Any], **columns: Any) -> list[Row]: ...

    def rpc(self, name: str, **params: Any) -> Any: ...

    def close(self) -> None: ...


class Door(Protocol):
    """The way in; `name` says it in the report."""

    name: str

    def sign_in(self, person: Person, password: str) -> Tab:
        """A new tab of this person, who is signed up first when nobody knows them."""


def at_once(acts: Sequence[Callable[[], Any]], *, ready: Callable[[int], Any]) -> list[Any]:
    """Run each of `acts` in its own thread, all in the same moment, and return what they return.

    Args:
        ready: called with each one's number before they meet, typically to warm its connection.
    """
    barrier = Barrier(len(acts))

    def run(number: int) -> Any:
        ready(number)
        barrier.wait(30)
        return acts[number]()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, range(len(acts))))
