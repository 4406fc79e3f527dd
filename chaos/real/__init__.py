"""Real processes: trading cycles in processes of their own, which stop or kill themselves at a
counted point, against a simulator on loopback and a Postgres that can be restarted."""
