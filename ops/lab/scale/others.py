"""Cores that somebody else had, while a run of ours wanted them."""

from time import monotonic

from ops.lab.bench.ingest.cpu import cores_busy


class Watch:
    """Looks at the machine from its making on."""

    def __init__(self) -> None:
        self._begun = monotonic()
        self._busy_s, _ = cores_busy()

    def others_cores(self, own_s: float) -> float:
        """Return how many cores others had until now, on average.

        Args:
            own_s: CPU seconds of our own processes since then.
        """
        busy_s, _ = cores_busy()
        return max(0.0, (busy_s - self._busy_s - own_s) / (monotonic() - self._begun))
