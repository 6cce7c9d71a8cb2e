"""Databases that people would pick instead: one process each, asked over HTTP.

Source:
    https://docs.influxdata.com/influxdb/v1/administration/config/, "Configuration settings";
    https://docs.victoriametrics.com/, "How to send data from InfluxDB-compatible agents" and "How
    to import data in JSON line format".
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from ops.lab.bench.ingest.workload import Form, Forms, import_columns, import_lines, line_protocol
from ops.lab.service import Service
from ops.local.ports import free_port
from ops.local.waiting import wait_until

VISIBLE_TIMEOUT_S = 30.0

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Database(Service):
    """One of them, with its data in a folder; a context manager that starts and kills it.

    Attributes:
        forms: In which it takes messages.
    """

    forms: Forms

    @property
    def processes(self) -> dict[str, int]:
        """Name -> process id, of the one that it is."""
        return {self.name: self.process.pid} if self.process else {}

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def drain(self) -> None:
        """Wait for nothing: what it has answered is done, as far as anybody can see."""

    def accepted(self) -> int:
        """Return 0: neither says this in a way that can be compared."""
        return 0

    def counted(self, keys: Sequence[str], at_least: int) -> int:
        """Return how many messages of some keys a query finds; they show a little later."""
        count = 0

        def is_enough() -> bool:
            nonlocal count
            count = self._count(keys)
            return count >= at_least

        try:
            wait_until(is_enough, VISIBLE_TIMEOUT_S, f"{self.name} shows what it took")
        except TimeoutError:
            return count
        return count

    def _count(self, keys: Sequence[str]) -> int:
        raise NotImplementedError

    def _ask(self, path: str, **query: str) -> Any:  # noqa: ANN401  (as JSON has it)
        return self.get(f"{path}?{urlencode(query)}").json


class InfluxDB(Database):
    """InfluxDB 1.x (on Debian: apt install influxdb), as it comes but for its ports."""

    def __init__(self, folder: Path) -> None:
        lines = Form("line protocol", "/write?db=bench&precision=ms", "text/plain", line_protocol)
        self.forms = {"rows": [lines], "single": [lines]}
        super().__init__(
            "InfluxDB",
            "",
            folder / "influxdb.log",
            # No file of settings: only what is here differs from what it is by itself.
            command="INFLUXDB_HTTP_BIND_ADDRESS=127.0.0.1:$PORT exec influxd run -config /dev/null",
            health="/ping",
            HOME=str(folder),
            INFLUXDB_BIND_ADDRESS=f"127.0.0.1:{free_port()}",
            INFLUXDB_META_DIR=str(folder / "meta"),
            INFLUXDB_DATA_DIR=str(folder / "data"),
            INFLUXDB_DATA_WAL_DIR=str(folder / "wal"),
            INFLUXDB_REPORTING_DISABLED="true",
            INFLUXDB_HTTP_LOG_ENABLED="false",
        )

    def __enter__(self) -> Self:
        self.start()
        self.request("POST", "/query", urlencode({"q": "CREATE DATABASE bench"}), _FORM)
        return self

    def _count(self, keys: Sequence[str]) -> int:
        which = " OR ".join(f"\"key\" = '{key}'" for key in keys)
        query = f"SELECT count(value) FROM rt WHERE {which}"  # noqa: S608  (our own keys)
        series = self._ask("/query", db="bench", q=query)["results"][0].get("series")
        return int(series[0]["values"][0][1]) if series else 0


class VictoriaMetrics(Database):
    """VictoriaMetrics (on Debian: apt install victoria-metrics), as it comes."""

    def __init__(self, folder: Path) -> None:
        lines = Form("line protocol", "/influx/write?precision=ms", "text/plain", line_protocol)
        json_lines = Form("JSON lines", "/api/v1/import", "application/json", import_lines)
        columns = Form("JSON values", "/api/v1/import", "application/json", import_columns)
        self.forms = {"rows": [lines, json_lines], "columns": [columns], "single": [lines]}
        super().__init__(
            "VictoriaMetrics",
            "",
            folder / "victoriametrics.log",
            command="exec victoria-metrics -httpListenAddr=127.0.0.1:$PORT "
            f"-storageDataPath={folder / 'data'}",
            health="/health",
            HOME=str(folder),
        )

    def _count(self, keys: Sequence[str]) -> int:
        self.request("POST", "/internal/force_flush", "", _FORM)
        which = "|".join(key.replace(".", "\\\\.") for key in keys)
        query = f'sum(count_over_time(rt_value{{key=~"{which}"}}[2d]))'
        found = self._ask("/api/v1/query", query=query, nocache="1")["data"]["result"]
        return int(found[0]["value"][1]) if found else 0
