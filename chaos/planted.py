"""Planted bugs (stub)."""
def planting(name):
    return lambda: None
