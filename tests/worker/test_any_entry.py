"""Whatever somebody puts into a stream by hand, a worker goes on, and every hash stays sound."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metrics.connection import Connection, command
from metrics.keyspace import GROUP, PartitionNames
from metrics.merged import merged
from tests.conftest import Clock
from tests.support.aggregators import STREAM, aggregator_of, drain
from tests.support.streams import HOUR, append, batch, hash_of
from workers.aggregator import DELIVERIES_MAX

OWN = PartitionNames(0).hour(f"{HOUR}:own")

VALUE = st.one_of(
    st.floats(0, allow_nan=False, allow_infinity=False).map(repr),
    st.integers(0, 10**18).map(str),
    st.sampled_from(["1*2", "1*1000000", "1*0", "-0", "1e400", "nan", "", " 1", "1,", "0.1e-5"]),
)
TEXTS = st.one_of(
    st.lists(VALUE, min_size=1, max_size=5).map(lambda values: ",".join(values).encode()),
    st.integers(0, 10**16).map(lambda number: b"dropped=%d" % number),
    st.binary(max_size=12),
)
FIELDS = st.one_of(
    st.sampled_from(
        [
            *(f"{HOUR}:a", f"{HOUR}:b", "2026-11-23T13:a", "2026-11-23T24:a", f"{HOUR}:"),
            *("0001-01-01T00:a", "9999-12-31T23:a", f"{HOUR}:{'a' * 129}", f"{HOUR}:é"),
        ]
    ).map(str.encode),
    st.binary(max_size=20),
)


@given(st.lists(st.tuples(FIELDS, TEXTS), min_size=1, max_size=4))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_lies_in_a_stream_is_folded_or_buried(
    connection: Connection, clock: Clock, fields: list[tuple[bytes, bytes]]
) -> None:
    """An entry by hand is counted or buried; those around it count once; hashes are sound."""
    connection.ask(command("FLUSHALL"))
    append(connection, batch([1.0], key="own"))
    connection.ask(command("XADD", STREAM, "*", *(part for field in fields for part in field)))
    append(connection, batch([2.0], key="own"))
    aggregator = aggregator_of(connection, clock, claim_s=0.001)

    for _ in range(2 * DELIVERIES_MAX):
        clock.seconds += 1
        drain(aggregator, 2)
        if not connection.ask(command("XLEN", STREAM)):
            break

    assert connection.ask(command("XLEN", STREAM)) == 0
    assert connection.ask(command("XPENDING", STREAM, GROUP))[0] == 0
    assert hash_of(connection, OWN)["count"] == "2"
    names = connection.ask(command("KEYS", PartitionNames(0).hour("*")))
    assert merged([connection.ask(command("HGETALL", name)) for name in names]).count >= 2
