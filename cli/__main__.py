"""`./strikeflow`: every command, and one clear line when one cannot run."""

import os
import signal
import sys
from datetime import date, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from cli.errors import EXIT_CANNOT_RUN, TOLD

EXIT_STOPPED = 130

app = typer.Typer(
    help="An options-trading pipeline on Alpaca: Prefect runs it, Postgres remembers it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.command()
def demo(  # noqa: PLR0913 - one parameter an option
    seed: Annotated[int, typer.Option(help="Of the synthetic market.")] = 7,
    replay: Annotated[
        Path | None, typer.Option(help="Folder of recorded quotes, in the tidy Parquet layout.")
    ] = None,
    underlying: Annotated[
        list[str] | None, typer.Option(help="What to watch; may be repeated.")
    ] = None,
    day: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The trading day to play.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="End with the summary as one line.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the UI up until Ctrl-C.")] = False,
    ui_port: Annotated[int, typer.Option(help="Of the Prefect UI, on loopback.")] = 4200,
) -> None:
    """Run one whole trading day on real parts, and print what it did."""
    from cli import demo as stage_demo
    from cli import show

    market = stage_demo.Market(
        seed=seed,
        day=_date(day),
        replay=replay,
        underlyings=tuple(name.upper() for name in underlying or ()),
    )
    console = Console(stderr=json)
    with console.status("starting") as status, stage_demo.stage(market, ui_port, status) as on:
        played = stage_demo.play(on, console, status)
        seconds = round(played.seconds, 1)
        up = "" if keep else " (with --keep)"
        footer = f"{seconds} s for the day. Runs and reports in the UI: {on.ui_url}{up}"
        status.stop()
        show.print_summary(
            console, played.summary, f"{on.account}  {played.summary.day:%A %d %B %Y}", footer
        )
        if json:
            sys.stdout.write(
                show.as_json(played.summary, {"seconds": seconds, "ui": on.ui_url}) + "\n"
            )
            sys.stdout.flush()
        if keep:
            console.print("The UI stays up until Ctrl-C.")
            signal.pause()


def _date(moment: datetime | None) -> date | None:
    return None if moment is None else moment.date()


@app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def test(context: typer.Context) -> None:
    """Run every check that a change must pass; words after it go to pytest alone."""
    from cli.check import check

    raise typer.Exit(check(context.args, Console()))


@app.command()
def up(
    ui_port: Annotated[int, typer.Option(help="Of the Prefect UI, on loopback.")] = 4200,
    simulator: Annotated[
        bool, typer.Option("--simulator", help="Trade on the simulator, in real time.")
    ] = False,
) -> None:
    """Run everything that trades on this machine until Ctrl-C: database, server, worker."""
    from cli.up import up as run_up

    run_up(ui_port, simulator, Console())


@app.command()
def halt(reason: Annotated[str, typer.Argument(help="Why; kept with the halt.")]) -> None:
    """Stop opening new risk at once; what closes risk still goes."""
    from cli.operate import halt as set_halt

    set_halt(reason, Console())


@app.command()
def resume() -> None:
    """Clear the halt."""
    from cli.operate import resume as clear_halt

    clear_halt(Console())


@app.command()
def greeks(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Parquet or CSV, by its suffix.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Parquet or CSV, by its suffix.")],
) -> None:
    """Add volatility and Greeks to a file of option prices; the README lists its columns."""
    from cli.greeks import greeks as add_greeks

    add_greeks(source, target, Console())


database = typer.Typer(help="The database.", no_args_is_help=True)
app.add_typer(database, name="database")


@database.command()
def migrate() -> None:
    """Bring the database at DATABASE_URL to this version's schema."""
    from db.migrate import migrate as run_migrations
    from tasks.settings import settings

    revision = run_migrations(settings().required_database_url())
    Console().print(f"the schema is at {revision}")


@app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def simulator(context: typer.Context) -> None:
    """Run the broker simulator alone; `simulator --help` shows its options."""
    os.execv(sys.executable, [sys.executable, "-m", "simulator", *context.args])


@app.command(
    context_settings={
        "ignore_unknown_options": True,
        "allow_extra_args": True,
        "allow_interspersed_args": False,
    }
)
def bench(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Of the measurement; `bench greeks`.")],
) -> None:
    """Measure speed and errors beside a peer's; `bench NAME --help` shows its options."""
    from cli.bench import bench as become

    become(name, context.args)


@app.command()
def chaos(  # noqa: PLR0913 - one parameter an option
    seeds: Annotated[int, typer.Option(help="How many days.")] = 100,
    first: Annotated[int, typer.Option(help="Of these seeds.")] = 0,
    jobs: Annotated[int, typer.Option(help="Worker processes.")] = 2,
    seed: Annotated[int | None, typer.Option(help="Replay this one, with its history.")] = None,
    plant: Annotated[str | None, typer.Option(help="A planted bug, P1 to P14.")] = None,
    planted: Annotated[bool, typer.Option("--planted", help="Catch every planted bug.")] = False,
    matrix: Annotated[bool, typer.Option("--matrix", help="Kill a cycle everywhere.")] = False,
    whole: Annotated[
        bool, typer.Option("--whole", help="And where a kill leaves what one before it leaves.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="End with one line of JSON.")] = False,
) -> None:
    """Play seeded days with faults against the simulator, and judge what came of them."""
    from cli import chaos as days

    if matrix:
        raise typer.Exit(days.kill_everywhere(jobs, Console(), is_whole=whole))
    if planted:
        raise typer.Exit(days.catch(200, first, jobs, Console()))
    if seed is not None:
        raise typer.Exit(days.replay(seed, plant))
    asked = days.Asked(seeds=seeds, first=first, jobs=jobs, plant=plant, json=json)
    raise typer.Exit(days.chaos(asked, Console(stderr=json)))


class Stopped(BaseException):
    """A signal asked us to end. No KeyboardInterrupt: the command-line library would take that
    for itself, and everything started must be stopped first."""


def main() -> int:
    """Run the command; an expected error is one line on stderr and exit code 2."""
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, _leave)
    try:
        app()
    except TOLD as error:
        sys.stderr.write(f"strikeflow: {' '.join(str(error).split())}\n")
        return EXIT_CANNOT_RUN
    except Stopped:
        sys.stderr.write("strikeflow: stopped\n")
        return EXIT_STOPPED
    return 0


def _leave(_number: int, _frame: FrameType | None) -> None:
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.SIG_IGN)  # once is enough; the stopping must not be cut short
    raise Stopped


if __name__ == "__main__":
    sys.exit(main())
