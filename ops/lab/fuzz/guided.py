"""One reader under atheris, which looks for inputs that take new ways through its code.

Source:
    github.com/google/atheris; LLVM, "libFuzzer", Options.
"""

import os
import sys
from pathlib import Path

import atheris

from ops.lab.fuzz.target import LIMIT_S, try_input

INPUT_BYTES_MAX = 8192
SLOWER = 4
"""How many times as long our code takes while atheris watches it."""

HANGS_AFTER_S = 20
MEMORY_MB_MAX = 1500


def main(name: str, seconds: str, seed: str, folder: str) -> None:
    """Fuzz a reader; the process ends with it.

    Args:
        name: Which.
        seconds: How long.
        seed: Of its random numbers.
        folder: Where inputs are kept; what breaks a promise goes beside them.
    """
    with atheris.instrument_imports(include=["api", "metrics"]):
        from ops.lab.fuzz.targets import TARGETS
    target = TARGETS[name]
    inputs = Path(folder)
    for number, data in enumerate(target.seeds):
        (inputs / f"seed-{number}").write_bytes(data)
    atheris.Setup(
        [
            sys.argv[0],
            f"-max_total_time={seconds}",
            f"-seed={seed}",
            f"-max_len={INPUT_BYTES_MAX}",
            f"-timeout={HANGS_AFTER_S}",
            f"-rss_limit_mb={MEMORY_MB_MAX}",
            f"-artifact_prefix={inputs}{os.sep}",
            "-print_final_stats=1",
            folder,
        ],
        lambda data: try_input(target, data, SLOWER * LIMIT_S),
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
