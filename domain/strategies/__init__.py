"""Strategies: one file each, a frozen Rules dataclass and frame-to-frame functions."""
