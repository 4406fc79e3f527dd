"""./strikeflow itself, run for real in a copied tree with a lock of one tiny local package."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SHELL_FILE = Path(__file__).parents[2] / "strikeflow"
BASE_PYTHON = getattr(sys, "_base_executable", sys.executable)
SET_UP_S_MAX = 60
SILENT: dict[str, Any] = {"stdin": subprocess.DEVNULL, "text": True, "start_new_session": True}
SILENT |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}

#: All that the front door may call, so that a machine with no more than this is enough.
TOOLS = (
    "sh awk cat cksum df dirname find grep id mkdir mv ps readlink rm rmdir sed sleep tail uname"
)

#: Hands back what the command line was given; 7 shows that its exit code passes through.
STAND_IN_CLI = """
import json, os, sys
import pebble
got = {"arguments": sys.argv[1:], "folder": os.getcwd(), "path": os.environ["PYTHONPATH"]}
print(json.dumps(got | {"pebble": pebble.VERSION}))
sys.exit(7)
"""


def wheel(folder: Path, version: str) -> str:
    """Put a wheel of `pebble` into `folder`; its line for a lock file comes back."""
    info = f"pebble-{version}.dist-info"
    path = folder / f"pebble-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("pebble.py", f"VERSION = '{version}'\n")
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: pebble\nVersion: {version}\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return f"pebble=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


#: Stands in for the kernels: leaves a line each time they are compiled.
STAND_IN_KERNELS = "print(1, file=open(__file__ + '.compiled', 'a'))"


class Tree:
    """A copy of the front door with a stand-in behind it, and a PATH of nothing but TOOLS."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a tree with spaces"
        self.bin = folder / "bin"
        self.wheels = folder / "wheels"
        self.kernels = self.root / "domain" / "pricing" / "__main__.py"
        self.tree_kernels = self.root / "simulator" / "tree.py"
        folders = (self.root / "cli", self.kernels.parent, self.tree_kernels.parent)
        for made in (*folders, self.bin, self.wheels):
            made.mkdir(parents=True)
        self.kernels.write_text(STAND_IN_KERNELS)
        self.tree_kernels.write_text(STAND_IN_KERNELS)
        shutil.copy(SHELL_FILE, self.root / "strikeflow")
        (self.root / "cli" / "__main__.py").write_text(STAND_IN_CLI)
        self.lock(wheel(self.wheels, "1.0"))
        for tool in TOOLS.split():
            if found := shutil.which(tool):
                (self.bin / tool).symlink_to(found)

    def lock(self, text: str) -> None:
        (self.root / "requirements.lock").write_text(text)

    def give(self, name: str, body: str) -> None:
        """A program of this name on the PATH."""
        (self.bin / name).write_text(f"#!/bin/sh\n{body}\n")
        (self.bin / name).chmod(0o755)

    def give_python(self) -> None:
        self.give("python3", f"exec '{BASE_PYTHON}' \"$@\"")

    def start(
        self, *arguments: str, file: Path | None = None, **settings: str
    ) -> subprocess.Popen[str]:
        environment = {
            "PATH": str(self.bin),
            "HOME": str(self.bin.parent),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": self.wheels.as_uri(),
        } | settings
        command = [str(file or self.root / "strikeflow"), *arguments]
        return subprocess.Popen(command, cwd=self.bin.parent, env=environment, **SILENT)

    def run(self, *arguments: str, **options: Any) -> tuple[int, str, str]:
        return ended(self.start(*arguments, **options))

    def refusal(self, **settings: str) -> str:
        """The one line with which a run stops at exit code 2."""
        code, out, err = self.run(**settings)
        assert (code, out) == (2, "")
        return only_line(err)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=SET_UP_S_MAX)
    return process.returncode, out, err


def only_line(err: str) -> str:
    (line,) = err.splitlines()
    assert line.startswith("strikeflow: ")
    return line


#: A tree set up by two runs started at once, and what each of them gave.
Made = tuple[Tree, list[tuple[int, str, str]]]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    tree = Tree(tmp_path_factory.mktemp("front door"))
    tree.give_python()
    both = [tree.start("demo", "--json"), tree.start("demo", "--json")]
    return tree, [ended(process) for process in both]


def test_two_first_runs_at_once_make_one_environment_and_both_get_it(made: Made) -> None:
    tree, runs = made
    assert [(code, json.loads(out)["pebble"]) for code, out, _ in runs] == [(7, "1.0"), (7, "1.0")]
    told = "".join(err for _, _, err in runs)
    assert told.count("Setting up .venv") == 1
    assert told.count("Compiling") == 1
    assert told.count("\n") <= 3  # those lines, and one of the run that waits
    assert not (tree.root / ".venv" / "setup.lock").exists()


def test_a_later_run_sets_nothing_up_and_hands_over_through_a_symlink_from_anywhere(
    made: Made, tmp_path: Path
) -> None:
    tree, _ = made
    first, second = tmp_path / "to it", tmp_path / "to that"
    first.symlink_to(os.path.relpath(tree.root / "strikeflow", tmp_path))
    second.symlink_to(first)
    (tree.bin.parent / "cli").mkdir(exist_ok=True)  # a namesake where the user stands
    (tree.bin.parent / "cli" / "__main__.py").write_text("raise SystemExit('not ours')")

    code, out, err = tree.run("report", "two words", "", file=second)

    assert (code, err) == (7, "")
    assert json.loads(out) == {
        "arguments": ["report", "two words", ""],
        "folder": str(tree.bin.parent),
        "path": str(tree.root),
        "pebble": "1.0",
    }


def test_programs_of_the_environment_find_our_packages(made: Made) -> None:
    tree, _ = made
    code = "import cli, sys; print(list(cli.__path__)[0])"
    python = tree.root / ".venv" / "bin" / "python"
    found = subprocess.check_output([python, "-c", code], cwd="/", env={}, text=True)
    assert found.strip() == str(tree.root / "cli")


def test_a_changed_lock_makes_the_environment_again(made: Made) -> None:
    tree, _ = made
    before = (tree.root / "requirements.lock").read_text()
    try:
        tree.lock(wheel(tree.wheels, "2.0"))
        code, out, err = tree.run()
    finally:
        tree.lock(before)
        shutil.rmtree(tree.root / ".venv")
    assert (code, json.loads(out)["pebble"]) == (7, "2.0")
    assert "Setting up .venv" in err


def compiled_times(tree: Tree) -> list[int]:
    """Of the core's kernels and of the simulator's."""
    kept = [Path(f"{kernels}.compiled") for kernels in (tree.kernels, tree.tree_kernels)]
    return [len(path.read_text().splitlines()) for path in kept]


@pytest.mark.parametrize("changed", ["kernels", "tree_kernels"])
def test_kernels_are_compiled_again_when_their_code_changed_and_only_then(
    made: Made, changed: str
) -> None:
    tree, _ = made
    tree.run()
    before = compiled_times(tree)
    assert tree.run()[2] == ""
    assert compiled_times(tree) == before
    kernels = getattr(tree, changed)
    kernels.write_text(f"{kernels.read_text()}  # otherwise")
    code, out, err = tree.run()
    assert (code, json.loads(out)["pebble"]) == (7, "1.0")
    assert err == "Compiling the pricing kernels (once, about half a minute) ...\n"
    assert compiled_times(tree) == [times + 1 for times in before]


def test_kernels_that_do_not_compile_stop_the_start_with_the_compilers_words(tree: Tree) -> None:
    tree.give_python()
    tree.kernels.write_text("raise SystemExit('no such instruction')")
    code, out, err = tree.run()
    assert (code, out) == (2, "")
    assert "    no such instruction\nstrikeflow: compiling the pricing kernels failed" in err
    tree.kernels.write_text(STAND_IN_KERNELS)
    assert tree.run()[0] == 7


def test_a_set_up_killed_half_way_is_done_again(tree: Tree) -> None:
    tree.give_python()
    killed = tree.start()
    wait_for(tree.root / ".venv" / "bin" / "python")
    os.killpg(killed.pid, signal.SIGKILL)
    ended(killed)
    assert (tree.root / ".venv" / "setup.lock").exists()  # nobody was left to clear it

    code, out, err = tree.run()

    assert (code, json.loads(out)["pebble"]) == (7, "1.0")
    assert err.count("Setting up .venv") == 1


def test_a_terminated_set_up_stops_its_installer_and_leaves_no_lock(tree: Tree) -> None:
    tree.give_python()
    tree.give("uv", 'echo $$ >"$HOME/installer"; exec sleep 50')
    stopped = tree.start()
    wait_for(tree.bin.parent / "installer")
    stopped.terminate()
    assert ended(stopped)[0] == 143
    assert not (tree.root / ".venv" / "setup.lock").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tree.bin.parent / "installer").read_text()), 0)


def wait_for(path: Path) -> None:
    end = time.monotonic() + SET_UP_S_MAX
    while not (path.exists() and (path.is_symlink() or path.stat().st_size)):
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.02)


def test_a_package_that_is_not_the_locked_one_is_refused_with_the_installers_words(
    tree: Tree,
) -> None:
    tree.give_python()
    tree.lock(f"pebble==1.0 --hash=sha256:{'0' * 64}\n")
    code, out, err = tree.run()
    assert (code, out) == (2, "")
    assert "DO NOT MATCH THE HASHES" in err
    assert "strikeflow: installing requirements.lock failed" in err.splitlines()[-1]
    assert not (tree.root / ".venv" / "strikeflow.stamp").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("error sending request: dns error", "the package index cannot be reached"),
        ("OSError: [Errno 28] No space left on device", "the disk filled up"),
    ],
)
def test_why_an_installation_failed_is_said_in_our_words_too(
    tree: Tree, words: str, told: str
) -> None:
    tree.give_python()
    tree.give("uv", f'echo "{words}" >&2; exit 1')
    code, _, err = tree.run()
    assert code == 2
    assert f"    {words}\nstrikeflow: {told}" in err


def test_an_old_python_is_named_with_its_version(tree: Tree) -> None:
    tree.give("python3", "echo 3.9.18")
    tree.give("python3.12", "exit 127")  # what a version switcher leaves on the PATH
    line = tree.refusal()
    assert "needs Python 3.11, 3.12 or 3.13" in line
    assert "python3: 3.9.18, python3.13: missing, python3.12: does not run" in line
    assert "STRIKEFLOW_PYTHON" in line


def test_a_chosen_python_is_an_order_and_no_other_is_tried(tree: Tree) -> None:
    tree.give_python()
    tree.give("mine", "echo 3.14.0")
    assert "(mine: 3.14.0)" in tree.refusal(STRIKEFLOW_PYTHON="mine")


def test_a_python_without_venv_is_told_which_package_to_install(tree: Tree) -> None:
    tree.give("python3", 'case $1 in -c) echo "3.12.4 $0" ;; *) exit 1 ;; esac')
    assert "apt install python3.12-venv" in tree.refusal()


def test_a_full_disk_is_seen_before_anything_is_installed(tree: Tree) -> None:
    tree.give("python3", 'echo "3.12.4 $0"')
    (tree.bin / "df").unlink()
    tree.give(
        "df", "printf 'Filesystem Blocks Used Available Use Mounted\\n/dev/x 9 9 300000 9 /\\n'"
    )
    assert "has 300 MB free and set-up needs 1500 MB" in tree.refusal()


@pytest.fixture
def open_tree() -> Iterator[Tree]:
    """A tree that another user can reach; pytest's own folders belong to one user."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Tree(Path(name))


def test_a_folder_we_may_not_write_to_is_named_with_the_user(open_tree: Tree) -> None:
    open_tree.give("python3", 'echo "3.12.4 $0"')
    command = [str(open_tree.root / "strikeflow")]
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root may write anywhere, and setpriv to become somebody else is missing")
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
    open_tree.root.chmod(0o555)
    environment = os.environ | {"PATH": f"{open_tree.bin}:{os.environ['PATH']}"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd="/", check=False
    )
    open_tree.root.chmod(0o755)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"cannot write in {open_tree.root} as " in only_line(done.stderr)
    assert "Permission denied" in done.stderr
