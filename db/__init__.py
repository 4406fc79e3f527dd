"""Postgres: every table and rule, and named functions over them. The only room with SQL."""
