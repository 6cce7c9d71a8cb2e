"""All readers that are fuzzed, by name."""

from collections.abc import Mapping
from typing import Any

from ops.lab.fuzz.bodies import BODIES, SINGLES
from ops.lab.fuzz.lines import AGENT, ANSWER, FILES, LINES
from ops.lab.fuzz.questions import PATH
from ops.lab.fuzz.requests import CHUNKS, HEAD, QUESTION
from ops.lab.fuzz.stored import ENTRY, HASH
from ops.lab.fuzz.target import Target

TARGETS: Mapping[str, Target[Any]] = {
    **BODIES,
    "bodies together": SINGLES,
    **LINES,
    "agent": AGENT,
    **FILES,
    "answer": ANSWER,
    "head": HEAD,
    "chunks": CHUNKS,
    "path": PATH,
    "question": QUESTION,
    "entry": ENTRY,
    "hash": HASH,
}
