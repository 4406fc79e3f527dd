"""The chaos harness: seeded days with faults, judged by an oracle of its own."""
