"""An Alpaca-compatible broker with a virtual clock. Shares no code with what it judges."""
