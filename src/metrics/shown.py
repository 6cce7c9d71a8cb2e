"""How an error text shows what somebody sent."""

LENGTH_MAX = 64


def shown(value: object) -> str:
    """Return what a sender sent, short and safe enough for an error text.

    It takes little time whatever the value is.
    """
    if isinstance(value, list | dict):
        return "an array" if isinstance(value, list) else "an object"
    text = ascii(value[:LENGTH_MAX] if isinstance(value, str | bytes) else value)
    return text if len(text) <= LENGTH_MAX else text[: LENGTH_MAX - 3] + "..."
