"""The committed schema is the one that the code generates."""

from io import StringIO

from django.core.management import call_command

from medtrack.docs import SCHEMA_FILE
from medtrack.tests.api import SCHEMA


def test_the_committed_schema_is_up_to_date() -> None:
    output = StringIO()
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=output)
    assert output.getvalue().strip() == SCHEMA_FILE.read_text().strip()


def test_every_operation_has_an_id_of_its_own_and_says_how_it_fails() -> None:
    operations = [operation for path in SCHEMA["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    assert not [id for id in ids if "_" in id]
    assert all("default" in operation["responses"] for operation in operations)
