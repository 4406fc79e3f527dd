"""The files that put the system on a machine: Compose, its settings, the image, the lock."""

import json
import re
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_SHOT = {"migrate", "bootstrap"}
LONG_RUNNING = sorted(set(SERVICES) - ONE_SHOT)
LOCK = (ROOT / "requirements.lock").read_text()


def settings_in_example() -> set[str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return {found[1] for line in lines if (found := re.match(r"#?([A-Z_]+)=", line))}


def test_the_compose_file_keeps_the_specification() -> None:
    schema = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.Draft202012Validator(json.loads(schema.read_text())).validate(COMPOSE)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_image_is_pinned_to_a_patch_version(name: str) -> None:
    assert re.search(r":\d+\.\d+(\.\d+)?(-[a-z]+)?$", SERVICES[name]["image"])


def test_the_image_of_our_own_starts_from_a_pinned_python_and_runs_as_an_ordinary_user() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^FROM python:3\.12\.\d+-slim", text, re.MULTILINE)
    assert "--require-hashes -r requirements.lock" in text
    users = re.findall(r"^USER (\S+)$", text, re.MULTILINE)
    assert users == ["strikeflow"]


def test_the_image_compiles_its_kernels_as_the_user_that_runs_them() -> None:
    """numba passes over kept kernels in a folder that it may not write in."""
    text = (ROOT / "Dockerfile").read_text()
    before, _, after = text.partition("USER strikeflow\n")
    assert "-o strikeflow domain/pricing/__pycache__ simulator/__pycache__\n" in before
    assert "RUN python -m domain.pricing && python -m simulator.tree\n" in after


def test_every_published_port_is_on_this_machine_only() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports == {
        "prefect-server": ["127.0.0.1:4200:4200"],
        "simulator": ["127.0.0.1:8765:8765"],
    }


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_every_long_running_service_is_checked_and_restarted(name: str) -> None:
    assert {"test", "interval", "timeout", "retries"} <= set(SERVICES[name]["healthcheck"])
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", sorted(ONE_SHOT))
def test_a_one_shot_runs_once_and_others_wait_for_its_success(name: str) -> None:
    assert SERVICES[name]["restart"] == "no"
    conditions = [
        service["depends_on"][name]["condition"]
        for service in SERVICES.values()
        if name in service.get("depends_on", {})
    ]
    assert conditions == ["service_completed_successfully"]


def test_starting_the_system_again_leaves_a_paused_pool_paused() -> None:
    assert "--overwrite" not in " ".join(SERVICES["bootstrap"]["command"])


def test_what_is_waited_for_can_be_seen_to_be_healthy() -> None:
    for service in SERVICES.values():
        for other, wait in service.get("depends_on", {}).items():
            if wait["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other]


def test_every_named_volume_is_declared_and_used() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    named = {mount.split(":")[0] for mount in mounts if not mount.startswith(".")}
    assert named == set(COMPOSE["volumes"])


def test_every_mounted_file_of_ours_exists() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    own = {mount.split(":")[0] for mount in mounts if mount.startswith("./deploy/")}
    assert own
    assert all((ROOT / path).is_file() for path in own)


def test_no_password_is_written_down() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for line in text.splitlines():
        if re.search(r"PASSWORD:|SECRET|://\w+:", line):
            assert "${" in line, line
    assert "\nPOSTGRES_PASSWORD=\n" in (ROOT / ".env.example").read_text()


def test_every_setting_of_ours_is_in_the_example() -> None:
    ours = {
        key
        for service in SERVICES.values()
        for key in service.get("environment", {})
        if key.startswith(("STRIKEFLOW_", "APCA_", "DATABASE_URL"))
    }
    asked = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))
    assert ours
    assert ours | asked <= settings_in_example()


def test_every_setting_in_the_example_has_a_comment_above_it() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    for above, line in pairwise(lines):
        if re.match(r"#?[A-Z_]+=", line):
            assert above.startswith("#"), line


def test_the_image_holds_no_secret_of_the_desk() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {".env", ".env.*", ".git", ".venv", ".strikeflow"} <= set(ignored)


def test_every_locked_package_has_a_version_and_hashes() -> None:
    entries = re.split(r"\n(?=[a-z0-9])", LOCK.strip())
    assert len(entries) > 50
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+==\S+", entry), entry[:80]
        assert "--hash=sha256:" in entry, entry[:80]


def test_the_lock_names_no_address() -> None:
    assert "://" not in LOCK
    assert "index-url" not in LOCK
