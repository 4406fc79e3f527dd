"""What an operator does by hand: halt and resume. Needs the database and nothing else."""

from collections.abc import Callable

from rich.console import Console
from sqlalchemy import Connection

from cli.errors import CannotRun
from cli.services import our_database
from db import audits, halts
from db.migrate import check_schema
from db.session import transaction
from tasks.settings import settings


def halt(reason: str, console: Console) -> None:
    """Set a halt on every account. From its commit on no opening order is claimed for sending."""
    numbers = _each_account(lambda connection, account: halts.set_halt(connection, account, reason))
    console.print(f"halted: {', '.join(numbers) or 'every account was halted already'}")


def resume(console: Console) -> None:
    """Clear the halt of every account, and take what does not add up as it is: it halts again
    only when it changes."""
    numbers = _each_account(_resume)
    console.print(f"trading again: {', '.join(numbers) or 'no account was halted'}")


def _resume(connection: Connection, account_id: int) -> bool:
    accepted = audits.accept(connection, account_id)
    return halts.clear_halt(connection, account_id) or accepted > 0


def _each_account(change: Callable[[Connection, int], bool]) -> list[str]:
    """The numbers of the accounts that `change` changed, in one transaction."""
    with our_database(settings().home) as url:
        check_schema(url)
        with transaction(url) as connection:
            known = halts.all_accounts(connection)
            if not known:
                raise CannotRun("no account has traded yet: there is nothing to halt")
            return [number for account_id, number in known if change(connection, account_id)]
