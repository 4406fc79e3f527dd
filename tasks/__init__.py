"""One verb, one file: each reads the clock and settings, opens transactions, calls the core."""
