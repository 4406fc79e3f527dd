"""Alembic's entry: runs the migrations on the engine that db.migrate hands over."""

from alembic import context
from sqlalchemy import Engine

from db.schema import metadata

engine: Engine = context.config.attributes["engine"]
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()
