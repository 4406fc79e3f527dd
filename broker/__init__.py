"""The only road to the broker: the official clients, with their blind retries switched off."""
