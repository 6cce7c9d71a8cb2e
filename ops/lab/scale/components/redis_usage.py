"""What a Redis has spent so far: CPU as the system counts it, the rest as Redis tells itself."""

import time
from dataclasses import dataclass

import redis

# The clock of the CPU time of a process, all of its threads together, is made from its id.
_CLOCK_OF_PROCESS = 2


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of one process so far, to the nanosecond; without its children.

    Source:
        clock_getcpuclockid(3), and how Linux makes such ids (``include/linux/posix-timers.h``).
    """
    return time.clock_gettime((~pid << 3) | _CLOCK_OF_PROCESS)


@dataclass(frozen=True, slots=True)
class Told:
    """Counters of one server, or the difference of two looks at them.

    Attributes:
        wire_bytes: In and out, to clients.
        trips: Times that it read from a connection: what comes at once is one.
        script_calls: Scripts that it ran.
        memory_bytes: That it uses; of a difference, how much more.
    """

    wire_bytes: float
    trips: float
    script_calls: float
    memory_bytes: float

    @classmethod
    def by(cls, client: redis.Redis) -> "Told":
        """Look at a server.

        Source:
            https://redis.io/docs/latest/commands/info/
        """
        told = client.info("everything")
        return cls(
            told["total_net_input_bytes"] + told["total_net_output_bytes"],
            told["total_reads_processed"],
            told.get("cmdstat_evalsha", {}).get("calls", 0),
            told["used_memory"],
        )

    def since(self, before: "Told") -> "Told":
        """Return what came after an earlier look."""
        return Told(
            self.wire_bytes - before.wire_bytes,
            self.trips - before.trips,
            self.script_calls - before.script_calls,
            self.memory_bytes - before.memory_bytes,
        )
