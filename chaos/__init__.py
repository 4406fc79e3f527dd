"""The chaos harness: seeded days with faults, judged by an oracle that shares nothing with the core."""
