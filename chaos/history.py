"""What happened in a day, line by line: equal for equal seeds."""

import hashlib
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class History:
    """Lines in the order they happened. Nothing in them may come from a wall clock."""

    lines: list[str] = field(default_factory=list)

    def add(self, word: str, text: str = "") -> None:
        self.lines.append(f"{word:<9} {text}".rstrip())

    @property
    def digest(self) -> str:
        """Sixteen characters that name this history."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()[:16]
