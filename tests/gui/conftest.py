"""Windows for the tests: skipped in words where none can be made, failed where one is required."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from blender_window import ROOT, BlenderWindow, Screen, enter, inside_environment

from tools.gui_room import ROOMS, cannot_enter

sys.path.insert(0, str(ROOT / "tests" / "blender"))

SIZE = (1600, 940)
KERNELS = os.environ["WARP_CACHE_PATH"]
"""Where the other tests keep compiled kernels: a minute is saved that would be spent on compiling them again."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--blender-room", default="43", choices=sorted(ROOMS), help="which windowed Blender: 43 or 52")
    parser.addoption("--window-required", action="store_true", help="fail where no window can be made, as with CI set")


@pytest.fixture(scope="session")
def room(request: pytest.FixtureRequest):
    """The folder with the windowed Blender."""
    chosen = ROOMS[request.config.getoption("--blender-room")]
    reason = None if chosen.is_ready() else f"run `python tools/setup_gui.py {chosen.name}`"
    reason = cannot_enter() or reason
    if reason is not None:
        wanted = request.config.getoption("--window-required") or os.environ.get("CI")
        (pytest.fail if wanted else pytest.skip)(f"NO BLENDER WINDOW: {reason}; nothing was checked")
    return chosen


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the windows see too; its name has a space and a letter that is not ASCII."""
    return tmp_path_factory.mktemp("größe und raum")


@pytest.fixture(scope="session")
def seen_inside(work: Path) -> list[Path]:
    """Folders of the machine that are seen inside at their own paths: checkout, work, samples, the engine's Python."""
    base = Path(os.path.realpath(sys.base_prefix))
    shared = ROOT.parent / "shared"
    kernels = Path(KERNELS)
    kernels.mkdir(parents=True, exist_ok=True)
    wanted = [ROOT, work, kernels, *([shared] if shared.is_dir() else []), *([base] if base != Path("/usr") else [])]
    return [folder for folder in wanted if folder.is_dir()]


@pytest.fixture(scope="session")
def package(work: Path) -> Path:
    """The zip that users install, built by `make extension`'s own script."""
    subprocess.run([sys.executable, str(ROOT / "tools" / "build_extension.py"), "--out", str(work)], check=True)
    (path,) = work.glob("*.zip")
    return path


@pytest.fixture(scope="session")
def screen(room, seen_inside) -> Iterator[Screen]:
    screen = Screen(room, SIZE, seen_inside)
    yield screen
    screen.close()


@pytest.fixture(scope="session")
def blender_command(room, seen_inside) -> Callable[..., subprocess.CompletedProcess]:
    """Run `blender --command …` inside, without a window."""

    def run(user: Path, *arguments: object) -> subprocess.CompletedProcess:
        command = ["blender", *room.options, "--command", *map(str, arguments)]
        return subprocess.run(
            enter(room.folder, command, seen_inside),
            env=inside_environment({"BLENDER_USER_RESOURCES": str(user)}),
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return run


@pytest.fixture(scope="session")
def installed(package: Path, work: Path, blender_command) -> Path:
    """A fresh user folder in which the zip was installed and enabled from the command line."""
    user = work / "user"
    user.mkdir()
    done = blender_command(user, "extension", "install-file", "--enable", "--repo", "user_default", package)
    assert done.returncode == 0 and 'Installed "palm_hands"' in done.stdout, done.stdout + done.stderr
    return user


@pytest.fixture(scope="module")
def open_window(work: Path, room, seen_inside, screen) -> Iterator[Callable[..., BlenderWindow]]:
    """Open a window with a user folder; all are closed with the module: drawn without a graphics card, each takes a processor."""
    opened: list[BlenderWindow] = []
    others: list[Screen] = []

    def start(user: Path, size: tuple[int, int] = SIZE, file: str = "", **variables: str) -> BlenderWindow:
        place = screen
        if size != SIZE:
            place = Screen(room, size, seen_inside)
            others.append(place)
        log = work / f"blender-{len(list(work.glob('blender-*.log')))}.log"
        window = BlenderWindow(place, user, log, {"WARP_CACHE_PATH": KERNELS, **variables}, file)
        opened.append(window)
        window.run("window_jobs.get_ready", timeout=120)
        return window

    yield start
    for window in opened:
        window.close()
    for place in others:
        place.close()


@pytest.fixture(scope="session")
def avatar(work: Path) -> Path:
    """A right hand as an avatar folder."""
    import avatars

    folder = work / "händchen.palmhand"
    avatars.make_avatar(folder, avatars.hand_model("right"))
    return folder
