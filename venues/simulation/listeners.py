"""Who is connected to a simulated venue, who listens to what, and when frames are due by time.

What a frame says is the venue's; knows no venue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Generic, TypeVar

from venues.simulation.socket import ClientSocket

K = TypeVar("K")
S = TypeVar("S")


class Listeners(Generic[K, S]):
    """The clients of a venue; a subscription of kind `S` is told apart by its key `K`."""

    def __init__(self) -> None:
        self._clients: set[ClientSocket[K, S]] = set()
        self._listening: dict[K, set[ClientSocket[K, S]]] = {}
        self._sent_s: dict[str, float] = {}

    def connect(self, client: ClientSocket[K, S]) -> None:
        """Know a client."""
        self._clients.add(client)

    def disconnect(self, client: ClientSocket[K, S]) -> None:
        """Forget a client and its subscriptions."""
        self._clients.discard(client)
        for key in client.subscriptions:
            self._listening.get(key, set()).discard(client)

    def follow(self, client: ClientSocket[K, S], key: K, subscription: S) -> None:
        """Have a client listen."""
        client.subscriptions[key] = subscription
        self._listening.setdefault(key, set()).add(client)

    def leave(self, client: ClientSocket[K, S], key: K) -> bool:
        """Have a client listen no longer; False where it did not."""
        self._listening.get(key, set()).discard(client)
        return client.subscriptions.pop(key, None) is not None

    def has(self, key: K) -> bool:
        """Tell whether somebody listens to it."""
        return bool(self._listening.get(key))

    def wanted(self) -> Sequence[K]:
        """Return what somebody listens to."""
        return [key for key, clients in self._listening.items() if clients]

    def send(self, key: K, write: Callable[[], bytes], names: Collection[str] = ()) -> None:
        """Send a frame to all who listen; it is written only where somebody does."""
        clients = tuple(self._listening.get(key, ()))
        if clients:
            frame = write()
            for client in clients:
                client.send_encoded(frame, names)

    def is_due(self, name: str, every_s: float) -> bool:
        """Tell whether what is sent every so many seconds is due, and if so count from now on."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._sent_s.get(name, 0.0) < every_s:
            return False
        self._sent_s[name] = now_s
        return True

    def cut_silent(self, longest_s: float) -> None:
        """Cut clients that said nothing for too long."""
        now_s = asyncio.get_running_loop().time()
        for client in tuple(self._clients):
            if now_s - client.last_heard_s > longest_s:
                client.kill()

    def kill_all(self) -> None:
        """Cut every socket."""
        for client in tuple(self._clients):
            client.kill()
