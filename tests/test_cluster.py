"""The tests run on a real PostgreSQL, as a role that is not allowed to change the tables."""

import pytest
from django.db import ProgrammingError, connection


@pytest.mark.django_db
def test_tests_run_as_the_application_on_a_real_postgresql() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, current_setting('server_version_num')::int >= 180000")
        assert cursor.fetchone() == ("heliograph_app", True)


@pytest.mark.django_db
def test_the_application_may_not_create_tables() -> None:
    with connection.cursor() as cursor, pytest.raises(ProgrammingError, match="permission denied"):
        cursor.execute("CREATE TABLE anything (id int)")
