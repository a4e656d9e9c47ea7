"""Time and memory of this process, and what memory is left, on the host or on a GPU."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

KILOBYTE = 1024
PROCESS = Path("/proc/self")
GROUP = Path("/sys/fs/cgroup")  # a container may have less than its machine


class Watch:
    """The host's clock and this process's resident memory, in seconds and bytes."""

    def seconds(self) -> float:
        """Now, by a clock that only rises."""
        return time.perf_counter()

    def begin(self) -> None:
        """Forget the peak so far. Where the system cannot, `peak` is that of the whole life."""
        try:
            (PROCESS / "clear_refs").write_text("5")
        except OSError:
            return

    def held(self) -> int:
        """Bytes that are held now."""
        return _status("VmRSS")

    def peak(self) -> int:
        """Most bytes that were held at once since `begin`."""
        return _status("VmHWM")

    def free(self) -> int | None:
        """Bytes that could be had without swapping; `None` where that is not known."""
        known = [one for one in (_available(), _left_in_group()) if one is not None]
        return min(known, default=None)


class DeviceWatch(Watch):
    """The same for a CUDA device: torch's allocations there, and what the device has left."""

    def __init__(self, device: Any) -> None:
        self._device = device

    def seconds(self) -> float:
        """Now, when all work that was given to the device is done."""
        import torch

        torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def begin(self) -> None:
        import torch

        torch.cuda.reset_peak_memory_stats(self._device)

    def held(self) -> int:
        import torch

        return torch.cuda.memory_allocated(self._device)

    def peak(self) -> int:
        import torch

        return torch.cuda.max_memory_allocated(self._device)

    def free(self) -> int | None:
        import torch

        free, _ = torch.cuda.mem_get_info(self._device)
        unused = torch.cuda.memory_reserved(self._device) - self.held()
        return int(free) + unused


def watch_of(device: Any) -> Watch:
    """Who watches work on a torch device."""
    return DeviceWatch(device) if device.type == "cuda" else Watch()


def _status(name: str) -> int:
    found = _table(PROCESS / "status").get(name)
    if found is not None:
        return found
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KILOBYTE


def _available() -> int | None:
    return _table(Path("/proc/meminfo")).get("MemAvailable")


def _left_in_group() -> int | None:
    """What the container may still take; its file cache can be given up and does not count."""
    try:
        most = int((GROUP / "memory.max").read_text())
        now = int((GROUP / "memory.current").read_text())
        lines = (GROUP / "memory.stat").read_text().splitlines()
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return None
    cached = dict(line.split() for line in lines).get("inactive_file", "0")
    return max(0, most - now + int(cached))


def _table(path: Path) -> dict[str, int]:
    """`Name: 12 kB` lines as bytes; nothing where there is no such file."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    sized = [words for words in lines if len(words) == 3 and words[2] == "kB"]
    return {words[0].rstrip(":"): int(words[1]) * KILOBYTE for words in sized}
