"""Lets transactional tests empty the audit table, which its triggers forbid.

Django empties all tables after such a test. Around that, and only around that, the triggers are lifted; while a test
runs they are in force. tests/conftest.py names it: `from tests.audit_fixtures import liftable_audit`.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

triggers = importlib.import_module("passport.migrations.0002_audit_is_append_only")


@contextmanager
def lifted_audit() -> Iterator[None]:
    """The audit table without its triggers, as one who may change the database's schema could have it."""
    from django.db import connection

    with connection.schema_editor() as editor:
        triggers.lift(editor)
    try:
        yield
    finally:
        with connection.schema_editor() as editor:
            triggers.install(editor)


@pytest.fixture(scope="session", autouse=True)
def liftable_audit() -> Iterator[None]:
    from django.test import TransactionTestCase

    flush = TransactionTestCase._fixture_teardown

    def flush_with_audit_lifted(self: TransactionTestCase) -> None:
        with lifted_audit():
            flush(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", flush_with_audit_lifted)
        yield
