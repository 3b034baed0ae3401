"""PostgreSQL and Redis out of wheels, and the product's processes around them, for development and tests.

Nothing here is used in production, and nothing here imports Django.
"""
