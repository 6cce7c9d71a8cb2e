"""NaN and Infinity, which are no JSON: masked, so that each is rejected alone, by its name.

Python's decoder takes them and says which they are. The one that takes a long text apart does not:
to it each is shown as a text that no message has.
"""

from collections.abc import Callable

_NAN, _INFINITY, _MINUS = b"NaN", b"Infinity", b"-"
_MASKED = {
    constant: b'"\\u0000%b"' % constant for constant in (_NAN, _INFINITY, _MINUS + _INFINITY)
}
_MASK = b'"\\u0000'


def may_be_in(text: bytes) -> bool:
    """Return whether such constants may be in a text."""
    return _NAN in text or _INFINITY in text


def mask(text: bytes, pause_if_due: Callable[[], None]) -> bytes:
    """Return a text with each constant masked; those within texts are none.

    Args:
        text: JSON, but for the constants.
        pause_if_due: Lets others go on.
    """
    parts: list[bytes] = []
    kept_until = looked_until = 0
    is_within_text = False
    places = {constant: text.find(constant) for constant in (_NAN, _INFINITY)}
    while found := [(place, constant) for constant, place in places.items() if place >= 0]:
        place, constant = min(found)
        places[constant] = text.find(constant, place + 1)
        is_within_text ^= bool(_quotes_in(text[looked_until:place]) % 2)
        looked_until = place
        if not is_within_text:
            end = place + len(constant)
            if constant == _INFINITY and text[place - 1 : place] == _MINUS:
                place, constant = place - 1, _MINUS + constant
            parts += [text[kept_until:place], _MASKED[constant]]
            kept_until = end
        pause_if_due()
    return b"".join([*parts, text[kept_until:]])


def unmask(text: bytes) -> bytes:
    """Return a text, or a part of one, with each constant as it was."""
    if _MASK in text:
        for constant, masked in _MASKED.items():
            text = text.replace(masked, constant)
    return text


def _quotes_in(text: bytes) -> int:
    """Return how many texts begin or end in a part of JSON."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    return text.count(b'"')
