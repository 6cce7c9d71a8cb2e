"""InfluxDB 1.x (on Debian: apt install influxdb).

Source:
    https://docs.influxdata.com/influxdb/v1/administration/config/, "Configuration settings".
"""

from collections.abc import Sequence
from pathlib import Path

from ops.lab.bench.ingest.bodies import Form, line_protocol
from ops.lab.bench.ingest.peer import Peer
from ops.local.ports import free_port

NAME = "InfluxDB"
PROGRAM = "influxd"

_LINES = Form("line protocol", "/write?db=bench&precision=ms", "text/plain", line_protocol)


def influxdb(folder: Path) -> Peer:
    """Return an InfluxDB with its data in a folder, set up as it comes but for its ports."""
    port = free_port()
    return Peer(
        NAME,
        port=port,
        # No file of settings: only what is here differs from what it is by itself.
        command=[PROGRAM, "run", "-config", "/dev/null"],
        environ={
            "HOME": str(folder),
            "INFLUXDB_HTTP_BIND_ADDRESS": f"127.0.0.1:{port}",
            "INFLUXDB_BIND_ADDRESS": f"127.0.0.1:{free_port()}",
            "INFLUXDB_META_DIR": str(folder / "meta"),
            "INFLUXDB_DATA_DIR": str(folder / "data"),
            "INFLUXDB_DATA_WAL_DIR": str(folder / "wal"),
            "INFLUXDB_REPORTING_DISABLED": "true",
            "INFLUXDB_HTTP_LOG_ENABLED": "false",
        },
        log=folder / "influxdb.log",
        ping="/ping",
        forms={"rows": [_LINES], "single": [_LINES]},
        ask_count=_count,
        on_start=lambda peer: peer.post("/query", q="CREATE DATABASE bench"),
    )


def _count(peer: Peer, keys: Sequence[str]) -> int:
    which = " OR ".join(f"\"key\" = '{key}'" for key in keys)
    query = f"SELECT count(value) FROM rt WHERE {which}"  # noqa: S608  (our own keys)
    answer = peer.get("/query", db="bench", q=query)
    series = answer["results"][0].get("series")
    return int(series[0]["values"][0][1]) if series else 0
