"""A process without a descriptor left, for a while: ``descriptors.py <Redis>``."""

import os
import resource
import sys
from time import monotonic, sleep

from metrics.connection import Connection, command
from metrics.errors import StorageUnavailableError


def main(url: str) -> None:
    """Ask Redis without a free descriptor, then with some; print the errors and the reply."""
    connection = Connection.open(url, timeout_s=1.0, connections_max=1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    for _ in range(3):
        try:
            connection.ask(command("PING"))
        except StorageUnavailableError as error:
            print(error.stored)
    for number in taken:
        os.close(number)
    give_up = monotonic() + 60
    reply = None
    while reply is None and monotonic() < give_up:
        try:
            reply = connection.ask(command("PING"))
        except StorageUnavailableError:
            sleep(0.05)
    print((reply or b"no reply").decode())
    connection.close()


if __name__ == "__main__":
    main(sys.argv[1])
