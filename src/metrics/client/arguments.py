"""What the arguments of a client may be; each error names the one that cannot be used."""

from metrics.message import check_dropped, check_key, check_value

_DAY_S = 86_400


def check_at_least(least: float, **arguments: float) -> None:
    """Raise a ValueError if one is below the least that it may be, or NaN."""
    for name, value in arguments.items():
        if not value >= least:
            raise ValueError(f"{name} must be at least {least:g}, got {value!r}")


def check_at_most_a_day(**arguments: float) -> None:
    """Raise a ValueError if one is longer than a day, in seconds."""
    for name, value in arguments.items():
        if value > _DAY_S:
            raise ValueError(f"{name} must be at most {_DAY_S}, got {value!r}")


def check_whole(**arguments: int) -> None:
    """Raise a ValueError if one is no whole number."""
    for name, value in arguments.items():
        if not isinstance(value, int):
            raise ValueError(f"{name} must be a whole number, got {value!r}")  # noqa: TRY004


def check_message(key: str, value: float) -> None:
    """Raise an InvalidMessageError if key or value is none."""
    check_key(key)
    check_value(value)


def check_report(key: str, dropped: int) -> None:
    """Raise an InvalidMessageError if the key is none, or the number of what was dropped."""
    check_key(key)
    check_dropped(dropped)
