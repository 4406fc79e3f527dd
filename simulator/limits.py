"""How many requests a minute an account may send: fixed minutes of the exchange's own clock, one
budget for trading and one for data. Every authorised call counts, a refused one too."""

from dataclasses import dataclass

from simulator.refusal import Refusal
from simulator.switches import RateLimit, Switches
from simulator.times import MINUTE, SECOND

TOO_MANY = 42910000


@dataclass(kw_only=True, slots=True)
class Budget:
    """Requests of the running minute."""

    a_minute: int
    is_enforced: bool
    minute: int = -1
    used: int = 0

    def spend(self, now: int) -> bool:
        """One request; False when there is none left."""
        if now // MINUTE != self.minute:
            self.minute, self.used = now // MINUTE, 0
        self.used += 1
        return not self.is_enforced or self.used <= self.a_minute

    def headers(self) -> dict[str, str]:
        """What every answer carries; the reset in seconds since 1970."""
        return {
            "X-RateLimit-Limit": str(self.a_minute),
            "X-RateLimit-Remaining": str(max(self.a_minute - self.used, 0)),
            "X-RateLimit-Reset": str((self.minute + 1) * MINUTE // SECOND),
        }


def budgets(switches: Switches, *, clock_runs: bool) -> tuple[Budget, Budget]:
    """Of trading, and of data."""
    wanted = switches.rate_limit
    is_enforced = wanted is RateLimit.ON or (wanted is RateLimit.AUTO and clock_runs)
    return (
        Budget(a_minute=switches.trading_requests_a_minute, is_enforced=is_enforced),
        Budget(a_minute=switches.data_requests_a_minute, is_enforced=is_enforced),
    )


def too_many(*, is_data: bool) -> Refusal:
    """Both have been seen; the one of data has no code."""
    words = "too many requests." if is_data else "rate limit exceeded"
    return Refusal(429, TOO_MANY, words)
