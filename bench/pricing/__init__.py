"""What `bench greeks` is made of: contracts, peers, speed, fresh processes, errors, tables."""
