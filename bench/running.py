"""Runs one process of a comparison with a timeout, parses the JSON that it prints, and records the load from other processes.

Not here: which commands run (`sides`), and what their figures mean (`report`).
"""

import dataclasses
import json
import os
import resource
import signal
import subprocess
import time
from typing import Dict, Optional, Sequence

CLOCK_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass
class Outcome:
    """The result of a process: its figures, or the reason why there are none."""

    figures: Optional[dict]  # The JSON object that it printed.
    failure: Optional[str]
    wall_s: float
    load_average: float  # Over the minute before its start.
    other_cores: Optional[float]  # Cores kept busy by other processes and the hypervisor; None if unknown.


def run(command: Sequence[str], timeout_s: float, environment: Optional[Dict[str, str]] = None) -> Outcome:
    """Runs `command` to its end, or kills it and its child processes after `timeout_s` seconds.

    `environment` is added to the current one. If this script is interrupted, the process is killed too.
    """
    load_average, start = os.getloadavg()[0], time.perf_counter()
    busy_before, own_before = busy_seconds(), children_seconds()
    figures, failure = None, None
    try:
        figures = last_json_object(text_of(command, timeout_s, environment))
        failure = None if figures is not None else "printed no JSON"
    except RunError as error:
        failure = str(error)
    wall_s = time.perf_counter() - start
    other_cores = None
    if busy_before is not None:
        others_s = busy_seconds() - busy_before - (children_seconds() - own_before)
        other_cores = round(max(0.0, others_s) / wall_s, 2)
    return Outcome(figures, failure, round(wall_s, 2), round(load_average, 2), other_cores)


class RunError(Exception):
    """A process that could not be started, failed, or did not end in time; the message says which."""


def text_of(command: Sequence[str], timeout_s: float, environment: Optional[Dict[str, str]] = None, cwd=None) -> str:
    """The standard output of `command`; raises `RunError` if it fails."""
    # No bytecode files: the peers' scripts are in the checkout, which must stay clean.
    merged = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})}
    pipes = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        # In a new session, so that its child processes can be killed with it.
        process = subprocess.Popen(
            list(command), env=merged, cwd=cwd, text=True, errors="replace", start_new_session=True, **pipes
        )
    except OSError as error:
        raise RunError("could not start `%s`: %s" % (command[0], error.strerror)) from error
    try:
        output, complaints = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        end(process)
        raise RunError("timed out after %g s" % timeout_s) from error
    except BaseException:
        end(process)
        raise
    if process.returncode != 0:
        lines = [line.strip() for line in complaints.splitlines() if line.strip()]
        # The first line from Rondo or cargo says what is wrong; in a Python traceback it is the last line.
        said = [line for line in lines if line.startswith("error")][:1] or lines[-1:]
        how = "exit status %d" % process.returncode
        if process.returncode < 0:
            how = "killed by %s" % signal.Signals(-process.returncode).name
        raise RunError(how + (": " + said[0][:300] if said else ""))
    return output


def end(process: subprocess.Popen) -> None:
    """Kills all processes of a process's session, and waits for it."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # It has just ended by itself.
    process.communicate()


def last_json_object(text: str) -> Optional[dict]:
    """The JSON object that `text` is, or else the last of its lines that is one, or None."""
    for line in [text, *reversed(text.splitlines())]:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            return value
    return None


def busy_seconds() -> Optional[float]:
    """Busy seconds of all cores together since the machine started; None if unknown."""
    try:
        with open("/proc/stat") as file:
            ticks = [int(field) for field in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return None
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, steal = ticks
    return (user + nice + system + interrupts + soft_interrupts + steal) / CLOCK_TICKS_PER_S


def children_seconds() -> float:
    """CPU seconds of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
