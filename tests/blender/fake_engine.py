"""Stands where the engine stands and misbehaves: `python fake_engine.py WHAT [arguments]`; speaks the engine's protocol."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time


def emit(event: str, **fields: object) -> None:
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


def main(what: str, *arguments: str) -> int:
    emit("progress", fraction=0.25, message=f"doing {what}")
    if what == "work":
        for step in range(int(arguments[0])):
            emit("progress", fraction=step / int(arguments[0]), message=f"step {step}")
            time.sleep(0.02)
        emit("result", avatar="somewhere")
    elif what == "garbage":
        sys.stdout.buffer.write(b"\xff\xfe\x00 nothing\n" + b"{" * 3_000_000 + b"\n[1]\n42\n")
        sys.stdout.write(
            '{"event": "progress"}\n{"event": "progress", "fraction": NaN, "message": 7}\n{"event": "x"}\n'
        )
        emit("result", avatar="despite all")
    elif what == "refuse":
        emit("error", message="photo x.jpg does not exist: check the path", kind="CaptureError")
        return 2
    elif what == "crash":
        sys.stderr.write("Traceback (most recent call last):\nRuntimeError: it broke\n")
        return 1
    elif what == "empty":
        return 0
    elif what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "hang":
        time.sleep(120)
    elif what == "deaf":  # neither signals nor a closing pipe move it
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        emit("progress", fraction=0.5, message="deaf")
        time.sleep(120)
    elif what == "children":  # ends, but its child holds its output open
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
        emit("result", child=child.pid)
    elif what == "follow":  # called as the engine is: -s -m engine capture VIDEO -o FILE …
        video, target = arguments[arguments.index("capture") + 1], arguments[arguments.index("-o") + 1]
        if "bad" in video:
            emit("error", message=f"{video} shows no hand: choose another video", kind="CaptureError")
            return 2
        if "long" in video:
            time.sleep(120)
        for step in range(5):
            emit("progress", fraction=step / 5, message=f"frame {step}")
            time.sleep(0.05)
        frame = {"global_orient": [0.0] * 3, "hand_pose": [0.1] * 45, "transl": [0.0, 0.0, 0.5]}
        captured = {"schema_version": 1, "handedness": "right", "fps": 24.0, "frames": [frame] * 4}
        with open(target, "w", encoding="utf-8") as file:
            json.dump(captured, file)
        emit("result", captures=target)
    elif what == "environment":
        emit("result", path=sys.path, environment=dict(os.environ), flags=sys.flags.no_user_site)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
