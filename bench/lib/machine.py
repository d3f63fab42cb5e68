"""What the machine and its processes are doing, from /proc."""

import os
import time

TICK = os.sysconf("SC_CLK_TCK")


def _stat(pid):
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def own_cpu(pid):
    """Processor seconds of a process itself."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICK if fields else 0.0


def reaped_cpu(pid):
    """Processor seconds of the children that a process has waited for."""
    fields = _stat(pid)
    return (int(fields[13]) + int(fields[14])) / TICK if fields else 0.0


def descendants(pid):
    found = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                for child in file.read().split():
                    found += [int(child), *descendants(int(child))]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def memory(pid):
    """Resident memory of a process in bytes: its peak, and now."""
    values = {}
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key in ("VmHWM", "VmRSS"):
                    values[key] = int(value.split()[0]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return values.get("VmHWM", 0), values.get("VmRSS", 0)


def busy():
    """Processor seconds that the whole machine has worked since it started, those stolen from it included."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(field) for field in file.readline().split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICK


class Foreign:
    """Measures how much of the machine others used while something of ours ran."""

    def __enter__(self):
        self.start, self.start_busy = time.monotonic(), busy()
        return self

    def __exit__(self, *_):
        self.wall, self.busy = time.monotonic() - self.start, busy() - self.start_busy

    def share(self, own):
        """Cores in use by others, on average; own is what our processes used, in seconds."""
        return max(0.0, (self.busy - own) / max(self.wall, 1e-3))


def wait_until_quiet(limit, timeout):
    """Waits until others use less than limit cores for half a second; returns whether they do."""
    end = time.monotonic() + timeout
    while True:
        with Foreign() as foreign:
            time.sleep(0.5)
        if foreign.share(0) < limit:
            return True
        if time.monotonic() > end:
            return False


def wait_until_idle(pids, timeout=60):
    """Waits until processes and their descendants have used no processor time for 0.3 s."""
    end = time.monotonic() + timeout
    last, since = None, time.monotonic()
    while time.monotonic() < end:
        family = [child for pid in pids for child in (pid, *descendants(pid))]
        now = [(pid, own_cpu(pid)) for pid in family]
        if now != last:
            last, since = now, time.monotonic()
        elif time.monotonic() - since > 0.3:
            return True
        time.sleep(0.03)
    return False


def description():
    """The machine in a few words, for the table."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "?")
    with open("/proc/meminfo", encoding="ascii") as file:
        memory_size = int(file.readline().split()[1]) / (1 << 20)
    with open("/etc/os-release", encoding="utf-8") as file:
        system = dict(line.rstrip().split("=", 1) for line in file if "=" in line)["PRETTY_NAME"].strip('"')
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores ({model}), {memory_size:.0f} GiB, {system}, Linux {os.uname().release.split('-')[0]}"
