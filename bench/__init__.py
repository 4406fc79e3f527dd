"""Figures beside a peer's, in one run; each ends with one JSON line."""
