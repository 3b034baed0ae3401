"""Starts PostgreSQL and Redis from Python wheels, and the product's processes, for development and for tests.

`python -m medtrack.development.services serve` runs the whole product, and `… run -- COMMAND` runs one
command on a new PostgreSQL and Redis. Nothing here runs in production, and nothing here imports Django.
"""
