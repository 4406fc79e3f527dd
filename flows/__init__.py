"""Sentences made of tasks."""
