"""Stores of our own for the tests: private servers on loopback, one process per database system.

    with PostgresServer() as server: server.create_database("passport"); server.url("passport")
    with MongoServer() as server: server.url("passport")

MariaDB as our own store is served by `tests.openmrs.server`.
"""
