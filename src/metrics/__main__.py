"""``python -m metrics``: the command line.

A command that needs nothing but Python belongs here, before click and rich are imported.
"""

import logging
import sys

_EXTRA = {"click", "rich", "redis", "hiredis"}


def main() -> int:
    """Run the command that the arguments name; return the exit status of the process."""
    if sys.argv[1:2] == ["statsd"]:
        from metrics.statsd.command_line import main as run_agent

        return run_agent(sys.argv[2:])
    try:
        from metrics.cli.command_line import command_line
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRA:
            raise
        print(  # noqa: T201  (there is nothing better to say it with)
            f"python -m metrics needs {missing}, which is not installed here: "
            "pip install 'metrics[cli]', or in a clone of the repository pip install '.[cli]'",
            file=sys.stderr,
        )
        return 2
    # What the client library would write into an app's log, the commands say themselves.
    logging.getLogger("metrics.client").setLevel(logging.CRITICAL)
    status: int | None = command_line(prog_name="python -m metrics", standalone_mode=True)
    return status or 0


if __name__ == "__main__":
    sys.exit(main())
