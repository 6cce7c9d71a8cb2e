"""Which key the name in a StatsD line stands for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from metrics.message import is_key

NAMES_MAX = 10_000
"""How many names an agent knows: each has memory of its own, and anybody nearby may send more."""

STARS_MAX = 3
"""How many ``*`` a mapping may have: matching takes longer with each."""

NAME_LENGTH_MAX = 512

_BLANKS = re.compile(r"\s+")
_NOT_IN_A_KEY = re.compile(r"[^A-Za-z0-9._:-]")
_PLACE = re.compile(r"\$([1-9])")


@dataclass(frozen=True, slots=True)
class Mapping:
    """A rule for names: those that match it have this key.

    Attributes:
        pattern: What a whole name has to match.
        key: The key; in it, ``$1`` is what the first ``*`` of the rule stands for.
    """

    pattern: re.Pattern[str]
    key: str

    @classmethod
    def parse(cls, rule: str) -> Self:
        """Return the mapping that a rule says: ``gunicorn.request.duration=checkout.web-1``.

        Args:
            rule: ``NAME=KEY``; a ``*`` in the name stands for any characters, ``$1`` in the key
                for those of the first.

        Raises:
            ValueError: If it is no rule.
        """
        name, equals, key = rule.rpartition("=")
        parts = name.split("*")
        if not (equals and name and key) or len(parts) > STARS_MAX + 1:
            raise ValueError(
                f"a mapping is NAME=KEY, with at most {STARS_MAX} * in the name, got {rule!r}"
            )
        if any(int(place) >= len(parts) for place in _PLACE.findall(key)):
            raise ValueError(f"the key of {rule!r} has a $ for which its name has no *")
        return cls(re.compile("(.+)".join(map(re.escape, parts))), key)

    def key_of(self, name: str) -> str | None:
        """Return the key of a name; None if it does not match."""
        found = self.pattern.fullmatch(name)
        return None if found is None else _PLACE.sub(lambda place: found[int(place[1])], self.key)


class Names:
    """Turns names into keys, and remembers them.

    Args:
        prefix: What stands in front of each key.
        mappings: Rules; the first that matches a name counts.
        names_max: How many names are remembered; later ones get no key.

    Attributes:
        known: Each name that has a key, and its key.
        cleaned: How many of them were no keys as they came.

    Raises:
        ValueError: If no key may begin with the prefix.
    """

    def __init__(
        self, *, prefix: str = "", mappings: Sequence[Mapping] = (), names_max: int = NAMES_MAX
    ) -> None:
        if prefix and not is_key(prefix):
            raise ValueError(f"a prefix is the beginning of a key, got {prefix!r}")
        self._prefix = prefix
        self._mappings = mappings
        self._names_max = names_max
        self.known: dict[str, str] = {}
        self.cleaned = 0

    @property
    def is_full(self) -> bool:
        """Whether no more names are taken."""
        return len(self.known) >= self._names_max

    def key_of(self, name: str) -> str | None:
        """Return the key of a name; None if it has none, or if there are too many names."""
        key = self.known.get(name)
        if key is None and not self.is_full and len(name) <= NAME_LENGTH_MAX:
            key = self._new_key(name)
            if key is not None:
                self.known[name] = key
        return key

    def _new_key(self, name: str) -> str | None:
        mapped = next(
            (key for each in self._mappings if (key := each.key_of(name)) is not None), name
        )
        key = self._prefix + mapped
        if is_key(key):
            return key
        key = cleaned(key)
        if not is_key(key):
            return None
        self.cleaned += 1
        return key


def cleaned(name: str) -> str:
    """Return a name as StatsD's server cleans it; it may still be no key.

    Source:
        StatsD 0.10, stats.js, ``sanitizeKeyName``.
    """
    name = _BLANKS.sub("_", name).replace("/", "-")
    return _NOT_IN_A_KEY.sub("", name).lstrip("._:-")
