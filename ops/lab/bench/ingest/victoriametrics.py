"""VictoriaMetrics (on Debian: apt install victoria-metrics).

Source:
    https://docs.victoriametrics.com/, "How to send data from InfluxDB-compatible agents" and
    "How to import data in JSON line format".
"""

from collections.abc import Sequence
from pathlib import Path

from ops.lab.bench.ingest.bodies import Form, import_columns, import_lines, line_protocol
from ops.lab.bench.ingest.peer import Peer
from ops.local.ports import free_port

NAME = "VictoriaMetrics"
PROGRAM = "victoria-metrics"

_LINES = Form("line protocol", "/influx/write?precision=ms", "text/plain", line_protocol)
_JSON_LINES = Form("JSON lines", "/api/v1/import", "application/json", import_lines)
_JSON_COLUMNS = Form("JSON values", "/api/v1/import", "application/json", import_columns)


def victoriametrics(folder: Path) -> Peer:
    """Return a VictoriaMetrics with its data in a folder, set up as it comes."""
    port = free_port()
    return Peer(
        NAME,
        port=port,
        command=[
            PROGRAM,
            f"-httpListenAddr=127.0.0.1:{port}",
            f"-storageDataPath={folder / 'data'}",
        ],
        environ={"HOME": str(folder)},
        log=folder / "victoriametrics.log",
        ping="/health",
        forms={"rows": [_LINES, _JSON_LINES], "columns": [_JSON_COLUMNS], "single": [_LINES]},
        ask_count=_count,
        on_start=lambda peer: None,
    )


def _count(peer: Peer, keys: Sequence[str]) -> int:
    peer.post("/internal/force_flush")
    which = "|".join(key.replace(".", "\\\\.") for key in keys)
    query = f'sum(count_over_time(rt_value{{key=~"{which}"}}[2d]))'
    found = peer.get("/api/v1/query", query=query, nocache="1")["data"]["result"]
    return int(found[0]["value"][1]) if found else 0
