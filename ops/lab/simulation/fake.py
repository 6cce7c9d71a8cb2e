"""fakeredis as the storage: in this process, on the clock of the simulation."""

import pickle
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from random import Random
from typing import Any, ClassVar
from unittest import mock

import fakeredis
from fakeredis import FakeServer, _helpers
from fakeredis._socket import _base
from fakeredis.commands_mixins import server_mixin
from fakeredis.commands_mixins.scripting_mixin import ScriptingCommandsMixin
from fakeredis.model import _stream
from redis.exceptions import ResponseError

from metrics.node import Command, Reply
from metrics.redis_errors import REFUSALS
from ops.lab.simulation.faults import STORAGE
from ops.lab.simulation.storage import PutBack, prefix_of

VERSION = (7,)

TICK_S = 60.0
"""How coarse the clock is by which scripts go. So many entries are of one millisecond, as they are
on a replica that takes over with its clock behind."""


class _Clock:
    """Stands in the place of the module ``time``."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.time = now


def _pcall(socket: Any, lua: Any, expected: set[Any], *command: Any) -> Any:  # noqa: ANN401
    """Do a command for a script; a refusal comes back as a table, its text as text.

    What fakeredis has in this place gives the script an object of Python, which is no string.
    """
    try:
        return socket._lua_redis_call(lua, expected, *command)
    except _helpers.SimpleError as error:
        return lua.table_from({b"err": error.value.encode()})


class FakeStorage:
    """A fakeredis server. While it is open, all of fakeredis goes by its clock."""

    events: ClassVar[Mapping[str, float]] = STORAGE

    def __init__(self) -> None:
        self._now: Callable[[], float] = float
        self._server = FakeServer(version=VERSION)
        client = fakeredis.FakeRedis(server=self._server, protocol=2)
        self._connection: Any = client.connection_pool.get_connection()
        clock = _Clock(lambda: self._now())
        ticking = _Clock(lambda: self._now() // TICK_S * TICK_S)
        self._patches = ExitStack()
        for patch in (
            # fakeredis asks time.time() for idle times, expiry, TIME and ids; it takes no clock.
            mock.patch.object(_helpers, "time", clock),
            mock.patch.object(_base, "time", clock),
            mock.patch.object(server_mixin, "time", ticking),
            mock.patch.object(_stream, "time", ticking),
            mock.patch.object(ScriptingCommandsMixin, "_lua_redis_pcall", _pcall),
        ):
            self._patches.enter_context(patch)

    def reset(self, now: Callable[[], float], position: Callable[[], int]) -> None:
        """Empty it.

        Args:
            now: Its clock from here on, in Unix seconds.
            position: Not used.
        """
        self._now = now
        self.execute(("FLUSHALL",))
        self.execute(("SCRIPT", "FLUSH"))

    def execute(self, command: Command) -> Reply:
        """Do a command; return its reply, or the error that stands in its place."""
        try:
            self._connection.send_command(*command)
            return self._connection.read_response()
        except (ResponseError, *REFUSALS) as error:
            return error

    def snapshot(self) -> PutBack:
        """Return what puts it back to what it holds now."""
        database = self._server.dbs[0]
        copy = pickle.dumps(dict(database.items()))

        def put_back(partition: int | None) -> None:
            prefix = prefix_of(partition).encode()
            for key in [key for key in database if key.startswith(prefix)]:
                del database[key]
            for key, item in pickle.loads(copy).items():  # noqa: S301  (made just above)
                if key.startswith(prefix):
                    database[key] = item
            self.execute(("SCRIPT", "FLUSH"))

        return put_back

    def happen(self, event: str, random: Random) -> int | None:
        """Do nothing: it has no events of its own."""
        return None

    def restart(self) -> None:
        """Do nothing: it is no process."""

    def close(self) -> None:
        """Give fakeredis its own clock back."""
        self._patches.close()
