"""The pure core: decisions and numbers. No clock, file, network, database, log or randomness."""
