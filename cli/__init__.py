"""The command line: start, stop, ask. No decision, no SQL."""
