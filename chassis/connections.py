"""Connections at hand: asyncpg's pool takes as long as the shortest statement that it lends one for."""

from __future__ import annotations

from typing import Any, Self

from asyncpg import InterfaceError

Connection = Any  # the pool's proxy of one of asyncpg's


class Connections:
    """A pool of asyncpg's, a few of whose connections are lent on without asking it in between.

    The pool makes a task for each connection that it takes back. Here only one with which nothing went
    wrong is kept, and only while nobody waits; all else (opening, renewing, closing, undoing) is the pool's.
    """

    def __init__(self, pool: Any, most: int) -> None:
        self._pool, self._most, self._waiting, self._given = pool, most, 0, 0
        self._kept: list[Connection] = []

    async def __aenter__(self) -> Self:
        await self._pool.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._most = 0  # what is still under way comes back to the pool, which waits for it
        try:
            while self._kept:
                await self._pool.release(self._kept.pop())
        except BaseException:
            self._pool.terminate()
            raise
        await self._pool.__aexit__(*error)

    async def take(self) -> Connection:
        """One that is nobody else's until it is given back."""
        while self._kept:
            if _lives(one := self._kept.pop()):
                return one
            await self._pool.release(one)
        self._waiting += 1
        try:
            return await self._pool.acquire()
        finally:
            self._waiting -= 1

    async def give(self, connection: Connection, *, well: bool) -> None:
        """Back; `well` if whatever was asked of it was answered."""
        self._given += 1
        # The pool renews those that served long, so each one comes by there now and then.
        back = self._waiting or len(self._kept) >= self._most or not self._given % 1000
        if back or not well:
            await self._pool.release(connection)
        else:
            self._kept.append(connection)


def _lives(connection: Connection) -> bool:
    try:
        return not connection.is_closed()
    except InterfaceError:  # its server ended, and the pool has taken it back by itself
        return False


class Lent:
    """A connection for a block."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def __aenter__(self) -> Connection:
        self._connection = await self._connections.take()
        return self._connection

    async def __aexit__(self, kind: object, *_: object) -> None:
        await self._connections.give(self._connection, well=kind is None)
