"""What a Redis says of its own use so far."""

from dataclasses import dataclass

import redis


@dataclass(frozen=True, slots=True)
class RedisUsage:
    """Counters of one server, or the difference of two looks at them.

    Attributes:
        wire_bytes: In and out, to clients.
        script_calls: Scripts that it ran.
        memory_bytes: That it uses; of a difference, how much more.
    """

    wire_bytes: float
    script_calls: float
    memory_bytes: float

    @classmethod
    def of(cls, client: redis.Redis) -> "RedisUsage":
        """Look at a server.

        Source:
            https://redis.io/docs/latest/commands/info/
        """
        info = client.info("everything")
        return cls(
            info["total_net_input_bytes"] + info["total_net_output_bytes"],
            info.get("cmdstat_evalsha", {}).get("calls", 0),
            info["used_memory"],
        )

    def since(self, before: "RedisUsage") -> "RedisUsage":
        """Return what came after an earlier look."""
        return RedisUsage(
            self.wire_bytes - before.wire_bytes,
            self.script_calls - before.script_calls,
            self.memory_bytes - before.memory_bytes,
        )
