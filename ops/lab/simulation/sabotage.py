"""Rules of the product that can be taken away, one at a time, to see that the checks notice it.

The product knows nothing of it: its commands are changed on their way to Redis.
"""

import hashlib
from collections.abc import Callable

from metrics.connection import Script
from metrics.node import Command, Reply

Execute = Callable[[Command], Reply]

_APPEND = Script.named("append")
_COMMIT = Script.named("commit")
_PENDING = "#redis.call('XPENDING', stream, group, id, id, 1, consumer) == 0"
_XACK = "redis.call('XACK', stream, group, unpack(ids))\n"
_XDEL = "redis.call('XDEL', stream, unpack(ids))\n"
_SEEN = "  if seen then\n"
_IS_UNSOUND, _REASON = "if unsound[key_hour] then", "'reason', unsound[key_hour]"
_IS_SOUND = "if hash.fields then"
_ADDED, _PUT = "counted(redis.call('HGET', KEYS[i], name), more, name, KEYS[i])", "more"


def changed(script: Script, *changes: tuple[str, str]) -> Script:
    """Return a script with pieces of its text replaced.

    Raises:
        ValueError: If a piece is not in it just once: then nothing would be sabotaged.
    """
    text = script.text
    for old, new in changes:
        if text.count(old) != 1:
            raise ValueError(f"the script has {text.count(old)} times, not once: {old}")
        text = text.replace(old, new)
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


class Sabotage:
    """No sabotage: all rules are kept.

    Attributes:
        repeats_what_is_lost: Whether the client library sends again what it got no reply to.
    """

    repeats_what_is_lost = False

    def run(self, command: Command, execute: Execute, between: Callable[[], None]) -> Reply:
        """Carry out a command.

        Args:
            command: As the product sent it.
            execute: Lets Redis do one command.
            between: To be called between two; others may come in, or the process may crash.
        """
        return execute(command)


class OtherScript(Sabotage):
    """Runs another script in the place of one of the product."""

    def __init__(self, script: Script, other: Script) -> None:
        self._script = script
        self._other = other

    def run(self, command: Command, execute: Execute, between: Callable[[], None]) -> Reply:
        """Carry out a command, with the other script if it is about this one."""
        if command[-1] == self._script.text:
            return execute((*command[:-1], self._other.text))
        if self._script.sha1 in command[:2]:
            return execute((command[0], self._other.sha1, *command[2:]))
        return execute(command)


class TwoCalls(Sabotage):
    """Acks and deletes with one call, and applies with another."""

    def __init__(self) -> None:
        self._ack = changed(_COMMIT, (_XDEL, f"{_XDEL}do return 1 end\n"))
        self._apply = changed(_COMMIT, (_PENDING, "false"), (_XACK, ""), (_XDEL, ""))

    def run(self, command: Command, execute: Execute, between: Callable[[], None]) -> Reply:
        """Carry out a command, a commit in two calls."""
        if command[-1] == _COMMIT.text:
            execute((*command[:-1], self._ack.text))
            return execute((*command[:-1], self._apply.text))
        if _COMMIT.sha1 not in command[:2]:
            return execute(command)
        reply = execute((command[0], self._ack.sha1, *command[2:]))
        if reply == 0:
            return reply
        between()
        return execute((command[0], self._apply.sha1, *command[2:]))


class MarkElsewhere(Sabotage):
    """Keeps the marks in another slot than what they are of."""

    def run(self, command: Command, execute: Execute, between: Callable[[], None]) -> Reply:
        """Carry out a command, an append with other names of its marks."""
        if _APPEND.sha1 in command[:2]:
            command = tuple(
                argument.replace("}:seen:", "+marks}:seen:")
                if isinstance(argument, str)
                else argument
                for argument in command
            )
        return execute(command)


class Repeats(Sabotage):
    """Lets the client library send again whatever it got no reply to."""

    repeats_what_is_lost = True


SABOTAGES: dict[str, Callable[[], Sabotage]] = {
    "no fence": lambda: OtherScript(_COMMIT, changed(_COMMIT, (_PENDING, "false"))),
    "no XDEL": lambda: OtherScript(_COMMIT, changed(_COMMIT, (_XDEL, ""))),
    "ack and apply in two calls": TwoCalls,
    "an entry dead-lettered as a whole": lambda: OtherScript(
        _COMMIT,
        changed(
            _COMMIT,
            (_IS_UNSOUND, "if true then"),
            (_REASON, "'reason', faults[1]"),
            (_IS_SOUND, "if #faults == 0 then"),
        ),
    ),
    "dropped not added up": lambda: OtherScript(_COMMIT, changed(_COMMIT, (_ADDED, _PUT))),
    "no mark": lambda: OtherScript(_APPEND, changed(_APPEND, (_SEEN, "  if false then\n"))),
    "mark in another slot": MarkElsewhere,
    "the client library's own retries on": Repeats,
}
"""What can be taken away, by its name on the command line."""
