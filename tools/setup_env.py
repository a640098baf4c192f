"""Make the project's environment in `.venv`: idempotent, and done in a second when nothing changed.

    python3 tools/setup_env.py [--extras capture,blender,cluster,dev,evaluation,mano]

Standard library only. Needs Python 3.11, because Blender 4.5's module is built for it. torch comes as the CPU build
where there is no NVIDIA GPU, which saves gigabytes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv"
STAMP = ENVIRONMENT / ".setup-stamp"
EXTRAS = "capture,blender,cluster,dev,evaluation,mano"
PROBE = "import torch, cv2, mediapipe, warp, OpenEXR, xatlas, bpy"

DEBIAN_PACKAGES = (
    *("libgl1", "libegl1", "libgles2", "libglib2.0-0", "libx11-6", "libxext6", "libxrender1", "libxxf86vm1"),
    *("libxfixes3", "libxi6", "libxkbcommon0", "libsm6", "libice6"),
)
"""Shared libraries that Blender, OpenCV and MediaPipe load, as Debian and Ubuntu name them."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--extras", default=EXTRAS)
    extras = parser.parse_args().extras
    stamp = _fingerprint(extras)
    if STAMP.is_file() and STAMP.read_text() == stamp and _python().is_file():
        return 0
    if not _python().is_file():
        interpreter = find_python("3.11")
        if interpreter is None:
            say("error: Python 3.11 was not found: install it, or run `make PYTHON=/path/to/python3.11 setup`")
            return 2
        say(f"making {ENVIRONMENT.name} with {interpreter}")
        subprocess.run([interpreter, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
    install(extras)
    if not probe():
        return 2
    STAMP.write_text(stamp)
    say("the environment is ready")
    return 0


def install(extras: str) -> None:
    """torch first, in the build that fits the machine; then everything else under the constraints."""
    torch_pin = next(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch=="))
    if not _installed(torch_pin):
        _install_torch(torch_pin)
    say("installing the other packages (Blender's module alone is 350 MB)")
    pip("install", "--quiet", "-c", "constraints.txt", "--no-build-isolation", "setuptools")
    pip("install", "--quiet", "-c", "constraints.txt", "--no-build-isolation", "-e", f".[{extras}]")


def _install_torch(pin: str) -> None:
    if shutil.which("nvidia-smi"):
        say(f"installing {pin} for NVIDIA GPUs")
        pip("install", pin)
        return
    say(f"installing {pin}, CPU build")
    if pip("install", "--quiet", f"{pin}+cpu", check=False):
        return
    # the usual index has only the CUDA build for Linux; uv knows where the CPU builds are
    if pip("install", "--quiet", "uv", check=False):
        command = [str(_python()), "-m", "uv", "pip", "install", "--python", str(_python()), "--torch-backend=cpu", pin]
        if subprocess.run(command, cwd=ROOT, check=False).returncode == 0:
            return
    say("the CPU build was not found; installing the larger usual build")
    pip("install", pin)


def probe() -> bool:
    """Import what was installed; where a shared library is missing, install it (root on Debian) or say how."""
    for attempt in range(2):
        result = subprocess.run([str(_python()), "-c", PROBE], capture_output=True, text=True, check=False)
        if result.returncode == 0:
            return True
        missing = re.search(r"(lib[\w.+-]+\.so[\w.]*): cannot open", result.stderr)
        can_install = hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get")
        if not (missing and can_install) or attempt:
            break
        say(f"{missing[1]} is missing: installing the system libraries that Blender and OpenCV load")
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        subprocess.run(["apt-get", "install", "-y", "-qq", *DEBIAN_PACKAGES], check=False)
    if missing:
        say(f"error: {missing[1]} is missing: run `sudo apt-get install {' '.join(DEBIAN_PACKAGES)}` or the like")
    else:
        say(f"error: the environment does not work:\n{result.stderr.strip()[-2000:]}")
    return False


def find_python(version: str) -> str | None:
    """An interpreter of exactly this minor version, or None."""
    candidates = [os.environ.get("PYTHON", ""), f"python{version}", "python3", "python", sys.executable]
    candidates += sorted(str(p) for p in Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for candidate in filter(None, candidates):
        path = shutil.which(candidate)
        if path is None:
            continue
        code = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
        result = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)
        if result.returncode == 0 and result.stdout.strip() == version:
            return path
    return None


def pip(*arguments: str, check: bool = True) -> bool:
    """Run the environment's pip; True when it succeeded."""
    command = [str(_python()), "-m", "pip", "--disable-pip-version-check", *arguments]
    quiet = {} if check else {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.run(command, cwd=ROOT, check=check, **quiet).returncode == 0


def _installed(pin: str) -> bool:
    name, version = pin.split("==")
    code = f"from importlib.metadata import version; assert version({name!r}).split('+')[0] == {version!r}"
    return subprocess.run([str(_python()), "-c", code], capture_output=True, check=False).returncode == 0


def _python() -> Path:
    return ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _fingerprint(extras: str) -> str:
    digest = hashlib.sha256(extras.encode())
    for name in ("pyproject.toml", "constraints.txt", "tools/setup_env.py"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def say(message: str) -> None:
    print(f"[setup] {message}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
