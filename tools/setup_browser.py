"""See to a headless Chromium for the test of a report's page: installed where CI is set, only looked for elsewhere.

    python tools/setup_browser.py

Ends with 0 where there is none to be had: the test that needs it says so and is skipped. Standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome")


def main() -> int:
    if any(shutil.which(name) for name in NAMES):
        return 0
    may_install = os.environ.get("CI") and shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0
    if may_install:
        say("installing chromium")
        for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]):
            subprocess.run(command, check=False, capture_output=True)
    if not shutil.which(NAMES[0]):
        say("NO CHROMIUM: the page of reports is not tried in a browser (Debian and Ubuntu: apt-get install chromium)")
    return 0


def say(message: str) -> None:
    print(f"[browser] {message}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
