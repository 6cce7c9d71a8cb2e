"""gunicorn's own lines, among all others of a process and in their form."""

from typing import Any

from gunicorn.glogging import Logger


class GunicornLog(Logger):  # type: ignore[misc]  # gunicorn has no types
    """What gunicorn's ``logger_class`` names."""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401
        """Leave what gunicorn says to the handlers of the process."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
