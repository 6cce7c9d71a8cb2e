"""What schemathesis makes of the OpenAPI documents, and that the services answer as these say.

``test_openapi.py`` runs this with pytest in a process of its own: the cases are made while they are
collected, which each process of the suite would do. It takes ``-p schemathesis.pytest.plugin``.
"""

import json
import os
from pathlib import Path

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

ROOT = Path(__file__).parents[2]
EXAMPLES = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))

# A pattern cannot say which days there are, nor that a key was used for another body.
UNKNOWABLE = [positive_data_acceptance]


@schemathesis.serializer("application/x-ndjson", "application/jsonl", "application/logplex-1")
def serialize_lines(_: object, body: object) -> bytes:
    """Return a body as a line, or as it is if it is text already."""
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


collector_document = schemathesis.openapi.from_path(str(ROOT / "api/collector/openapi.json"))
query_document = schemathesis.openapi.from_path(str(ROOT / "api/query/openapi.json"))


@collector_document.parametrize()
@EXAMPLES
def test_the_collector_answers_as_its_document_says(case: schemathesis.Case) -> None:
    """The collector answers any request with a status and a body that its document has."""
    case.call_and_validate(base_url=os.environ["COLLECTOR_URL"], excluded_checks=UNKNOWABLE)


@query_document.parametrize()
@EXAMPLES
def test_the_query_service_answers_as_its_document_says(case: schemathesis.Case) -> None:
    """The query service answers any request with a status and a body that its document has."""
    case.call_and_validate(base_url=os.environ["QUERY_URL"], excluded_checks=UNKNOWABLE)
