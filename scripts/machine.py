"""What a measurement depends on beside the code: for the records of the scripts."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

import synthgen


def machine() -> dict[str, Any]:
    """Versions, processor, threads, and the load at this moment: a high one says that what follows
    was disturbed."""
    return {
        "synthgen": synthgen.__version__,
        "revision": revision(),
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "cpu": cpu_model(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def revision() -> str | None:
    """The commit of this checkout, with a + if files differ from it; None outside of one."""
    try:
        commit = git("rev-parse", "--short=10", "HEAD")
        return f"{commit}+" if commit and git("status", "--porcelain", "-uno") else commit or None
    except FileNotFoundError:  # no git
        return None


def git(*arguments: str) -> str:
    """Its output; empty if it fails."""
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
