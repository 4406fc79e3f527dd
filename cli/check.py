"""`test`: every check that a change must pass, in the order of their cost; the first that fails
ends it."""

import os
import subprocess
import sys
import time

from rich.console import Console

from cli.services import ROOT

CHECKS: dict[str, list[str]] = {
    "format": ["-m", "ruff", "format", "--check", "--quiet", "."],
    "lint": ["-m", "ruff", "check", "--quiet", "."],
    "types": ["-m", "mypy", "--no-error-summary", "."],
    "imports": [
        "-c",
        "from importlinter.cli import lint_imports_command as run; run()",
        "--no-logo",
    ],
    "tests": ["-m", "pytest", "-n", "2", "--dist", "loadfile"],
}


def check(extra: list[str], console: Console) -> int:
    """0 when all pass; the exit code of the first that fails.

    extra  words for pytest; with any, only the tests are run
    """
    began_s = time.monotonic()
    for name, words in CHECKS.items():
        if extra and name != "tests":
            continue
        console.print(f"[bold]{name}[/bold]")
        code = subprocess.run(
            [sys.executable, *words, *(extra if name == "tests" else [])],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
        ).returncode
        if code != 0:
            console.print(f"[red]{name} failed[/red] after {time.monotonic() - began_s:.0f} s")
            return code
    console.print(f"[green]every check passed[/green] in {time.monotonic() - began_s:.0f} s")
    return 0
