"""Describes the machine for the results: its processor and memory, and whether it was idle."""

import glob
import os
import pathlib
import platform
import re
from typing import Dict, List, Optional

from environments import ROOT
from running import RunError, text_of

IDLE_LOAD = 0.3
"""The highest one-minute load average at which a machine counts as idle."""


def cpu_model() -> str:
    """The processor's name as reported by the system."""
    for line in (read("/proc/cpuinfo") or "").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    name = said(["sysctl", "-n", "machdep.cpu.brand_string"])
    return name or platform.processor() or platform.machine()


def slug() -> str:
    """The machine as part of a folder name: model and number of logical cores, in lowercase."""
    model = re.sub(r"\((r|tm)\)", " ", cpu_model().lower())
    model = re.sub(r"[^a-z0-9]+", "-", model).strip("-")
    return "%s-%d-cores" % (model, os.cpu_count() or 1)


def description() -> Dict[str, str]:
    """The machine and the compiler, one fact per entry; unknown facts are left out."""
    facts = {
        "CPU": cpu_model(),
        "cores": cores(),
        "caches": caches(),
        "memory": memory(),
        "kernel": "%s %s, %s" % (platform.system(), platform.release(), platform.machine()),
        "frequency governor": read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "unknown",
        "rustc": said(["rustc", "--version"]),
        "Rondo": said(["git", "describe", "--always", "--dirty", "--tags"]),
    }
    return {name: fact for name, fact in facts.items() if fact}


def cores() -> str:
    """The number of logical cores, and of physical ones if known."""
    text = read("/proc/cpuinfo") or ""
    pairs = set(re.findall(r"physical id\s*: (\d+).*?core id\s*: (\d+)", text, re.DOTALL))
    logical = "%d logical" % (os.cpu_count() or 1)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parts = [logical] + (["%d physical" % len(pairs)] if pairs else [])
    return ", ".join(parts + (["%d allowed to this run" % allowed] if allowed != os.cpu_count() else []))


def caches() -> str:
    """The caches that the first core sees."""
    found: List[str] = []
    for folder in sorted(glob.glob("/sys/devices/system/cpu/cpu0/cache/index*")):
        level, kind, size, shared = (
            read(os.path.join(folder, name)) or "?" for name in ("level", "type", "size", "shared_cpu_list")
        )
        suffix = {"Data": "d", "Instruction": "i"}.get(kind, "")
        found.append("L%s%s %s (cores %s)" % (level, suffix, size, shared))
    return ", ".join(found)


def memory() -> str:
    """The machine's memory in GiB."""
    kib = re.search(r"MemTotal:\s+(\d+) kB", read("/proc/meminfo") or "")
    return "%.1f GiB" % (int(kib.group(1)) / (1 << 20)) if kib else ""


def load() -> str:
    """The load averages over one, five and fifteen minutes."""
    return ", ".join("%.2f" % average for average in os.getloadavg())


def load_warning() -> Optional[str]:
    """A warning if the machine is not idle."""
    average = os.getloadavg()[0]
    if average <= IDLE_LOAD:
        return None
    return "the machine was not idle at the start: load average %.2f" % average


def read(path: str) -> Optional[str]:
    """The text of a file without surrounding whitespace, or None if it cannot be read."""
    try:
        return pathlib.Path(path).read_text().strip()
    except OSError:
        return None


def said(command: List[str]) -> str:
    """The output of a command run in the checkout; empty if it fails."""
    try:
        return text_of(command, 30, cwd=ROOT).strip()
    except RunError:
        return ""
