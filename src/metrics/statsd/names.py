"""Which key the name in a StatsD line stands for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from metrics.message import is_key

NAMES_MAX = 10_000
"""How many names an agent knows: each has memory of its own, and anybody nearby may send more."""

STARS_MAX = 3
"""How many ``*`` a mapping may have."""

NAME_LENGTH_MAX = 512

_BLANKS = re.compile(r"\s+")
_NOT_IN_A_KEY = re.compile(r"[^A-Za-z0-9._:-]")
_PLACE = re.compile(r"\$([1-9])")


@dataclass(frozen=True, slots=True)
class Mapping:
    """A rule for names: those that match it have this key.

    Attributes:
        parts: What a name has, in this order; between any two is at least one other character.
        key: The key; in it, ``$1`` is what stands between the first two.
    """

    parts: Sequence[str]
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
        return cls(parts, key)

    def key_of(self, name: str) -> str | None:
        """Return the key of a name; None if it does not match."""
        found = self._between(name)
        if found is None:
            return None
        return _PLACE.sub(lambda place: found[int(place[1]) - 1], self.key)

    def _between(self, name: str) -> list[str] | None:
        """Return what stands between the parts, as much as there can be between the first ones.

        Each part is looked for from the right, which takes linear time; a regular expression
        would try all places of one with all places of the next.
        """
        first, *rest = self.parts
        if not rest:
            return [] if name == first else None
        if not (name.startswith(first) and name.endswith(rest[-1])):
            return None
        found = []
        end = len(name) - len(rest[-1])
        for part in reversed(rest[:-1]):
            at = name.rfind(part, 0, end - 1) if end > 0 else -1
            if at < 0:
                return None
            found.append(name[at + len(part) : end])
            end = at
        return [name[len(first) : end], *reversed(found)] if end > len(first) else None


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
