"""What is measured: pve-oci in its ways of use, and other programs that do the job or a part of it."""

import json
import os
import shlex
import shutil
import socket
import subprocess
import threading
import time

from lib import machine

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OFFSET, COUNT = 100_000, 65536
MAP = f"0:{OFFSET}:{COUNT}"


class Failed(Exception):
    """A run that did not do what it was to do."""


class Result:
    """What one run cost: seconds of wall and processor time, bytes of memory, cores that others used meanwhile."""

    def __init__(self, wall, cpu, rss, foreign):
        self.wall, self.cpu, self.rss, self.foreign = wall, cpu, rss, foreign


class Command:
    """A program that is run once per image, by native/timed.c."""

    maps_ids = False
    does_all = False

    def __init__(self, name, work, command, knows=lambda image: True, in_namespace=False):
        self.name, self.work, self.command = name, work, command
        self.knows, self.in_namespace = knows, in_namespace

    def prepare(self):
        pass

    def settle(self):
        pass

    def close(self):
        pass

    def target(self, path):
        """Makes the directory to extract into."""
        os.mkdir(path)
        if self.in_namespace or self.maps_ids:
            os.chown(path, OFFSET, OFFSET)

    def run(self, image, target):
        with machine.Foreign() as foreign:
            cost = self.extract(image, target)
        return Result(cost["wall"], cost["cpu"], cost["rss"], foreign.share(cost["cpu"]))

    def extract(self, image, target):
        """Only that, by as many threads at once as one likes; returns seconds and bytes."""
        command = self.command(image, target)
        if isinstance(command, str):
            command = ["bash", "-o", "pipefail", "-ec", command]
        return timed(self.work, command, self.in_namespace)


def compile_helpers(work):
    """Compiles the programs of native/ into the folder work."""
    for name in ("timed", "create"):
        source = os.path.join(TREE, "bench", "native", name + ".c")
        subprocess.run(["cc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-Wshadow", "-o",
                        os.path.join(work, name), source], check=True)


def timed(work, command, in_namespace=False):
    """Runs a command by native/timed.c; returns what that says."""
    result = os.path.join(work, f"timed-{threading.get_ident()}.json")
    options = ["--map", "0", str(OFFSET), str(COUNT)] if in_namespace else []
    done = subprocess.run([os.path.join(work, "timed"), result, *options, *command],
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise Failed(f"{shlex.join(command)}: exit status {done.returncode}: {done.stderr.decode()[-500:]}")
    with open(result, encoding="ascii") as file:
        return json.load(file)


class Peak(threading.Thread):
    """Follows the peak memory of a daemon's workers while a job runs."""

    def __init__(self, pid, follows_new=False):
        super().__init__(daemon=True)
        self.pid, self.follows_new, self.rss = pid, follows_new, 0
        self.stopping = threading.Event()

    def run(self):
        workers = machine.descendants(self.pid)
        while not self.stopping.wait(0.02):
            alive = [pid for pid in workers if os.path.exists(f"/proc/{pid}")]
            workers = machine.descendants(self.pid) if self.follows_new or not alive else alive
            self.rss = max([self.rss, *(machine.memory(pid)[0] for pid in workers)])

    def stop(self):
        self.stopping.set()
        self.join()
        return self.rss


class Service:
    """A daemon that runs, of this tree or another one that is built."""

    def __init__(self, folder, options=(), prefix=(), home=TREE):
        self.folder, self.options, self.prefix, self.home = folder, options, prefix, home
        self.socket = os.path.join(folder, "socket")
        self.process = None

    def start(self):
        os.makedirs(self.folder, exist_ok=True)
        command = [*self.prefix, os.path.join(self.home, "bin", "pve-ocid"), "--socket", self.socket,
                   "--allow-any-id-map", *self.options]
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(command, stderr=log)
        end = time.monotonic() + 20
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise Failed(f"pve-ocid does not start, see {self.folder}/log")
            time.sleep(0.02)

    def _answers(self):
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(self.socket)
            return True
        except OSError:
            return False

    def wait_until_idle(self):
        if self.process and not machine.wait_until_idle([self.process.pid]):
            raise Failed("pve-ocid and its workers do not come to rest")

    def cpu(self):
        """Processor seconds of the daemon and its workers until now, those that have ended included."""
        pid = self.process.pid
        family = [pid, *machine.descendants(pid)]
        return machine.reaped_cpu(pid) + sum(map(machine.own_cpu, family))

    def close(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
            shutil.rmtree(self.folder, ignore_errors=True)


class Daemon(Command):
    """
    pve-ocid, asked by the command pve-oci or by this process over its socket. It is cold when it is new and keeps no
    spare worker, warm when a spare worker waits for the image.
    """

    maps_ids = True

    def __init__(self, name, work, service, warm=True, by_command=True):
        super().__init__(name, work, None)
        self.service, self.warm, self.by_command = service, warm, by_command

    def prepare(self):
        if not self.warm:
            self.service.close()
        if self.service.process is None:
            self.service.start()
        self.service.wait_until_idle()

    def settle(self):
        """The next spare worker is got ready before anything else is measured."""
        if self.warm:
            self.service.wait_until_idle()
        else:
            self.service.close()

    def close(self):
        self.service.close()

    def run(self, image, target):
        pid = self.service.process.pid
        workers = machine.descendants(pid)
        before = machine.own_cpu(pid) + machine.reaped_cpu(pid) + sum(map(machine.own_cpu, workers))
        peak = Peak(pid, follows_new=not self.warm)
        peak.start()
        with machine.Foreign() as foreign:
            cost = self.extract(image, target)
        rss = peak.stop()
        self._wait_for_end(workers or machine.descendants(pid))
        cpu = machine.own_cpu(pid) + machine.reaped_cpu(pid) - before + cost["cpu"]
        return Result(cost["wall"], cpu, rss, foreign.share(cpu))

    @staticmethod
    def _wait_for_end(workers):
        """A worker's time is in its parent's account when the parent has waited for it."""
        end = time.monotonic() + 5
        while any(os.path.exists(f"/proc/{pid}") for pid in workers) and time.monotonic() < end:
            time.sleep(0.005)

    def extract(self, image, target):
        if self.by_command:
            return timed(self.work, [os.path.join(self.service.home, "bin", "pve-oci"), "extract", "-q", "--socket",
                                     self.service.socket, "--uidmap", MAP, image.archive, target])
        start = time.monotonic()
        request(self.service.socket, image.archive, target)
        return {"wall": time.monotonic() - start, "cpu": 0.0}


def request(path, archive, target):
    """Asks a daemon to extract an archive, from connecting to the reply."""
    ids = [{"inside": 0, "outside": OFFSET, "count": COUNT}]
    call = {"method": "io.pve.oci.ParseAndExtractImage",
            "parameters": {"archivePath": archive, "rootDirectory": target, "uidMap": ids, "gidMap": ids}}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(json.dumps(call).encode() + b"\0")
        reply = b""
        while not reply.endswith(b"\0"):
            piece = connection.recv(1 << 16)
            if not piece:
                raise Failed("the daemon closed the connection")
            reply += piece
    answer = json.loads(reply[:-1])
    if "error" in answer:
        raise Failed(answer["parameters"].get("message", answer["error"]))


def embedded_exists():
    done = subprocess.run([os.path.join(TREE, "bin", "pve-oci"), "help", "extract"],
                          capture_output=True, text=True, check=False)
    return "--embedded" in done.stdout


def ours(work, options=()):
    service = Service(os.path.join(work, "daemon"), options)
    cold = Service(os.path.join(work, "cold"), [*options, "--spares", "0"])
    engines = [Daemon("pve-oci", work, service), Daemon("pve-oci, request", work, service, by_command=False),
               Daemon("pve-oci, cold", work, cold, warm=False)]
    return engines + ([embedded(work)] if embedded_exists() else [])


def base(work, home):
    """Another tree of pve-oci that is built: its command, and requests to its daemon."""
    service = Service(os.path.join(work, "base"), home=home)
    return [Daemon("base", work, service), Daemon("base, request", work, service, by_command=False)]


def embedded(work):
    command = Command("pve-oci --embedded", work, lambda image, target: [
        os.path.join(TREE, "bin", "pve-oci"), "extract", "-q", "--embedded", "--uidmap", MAP, image.archive, target])
    command.maps_ids = True
    return command


def peers(work):
    """umoci does all of the job; bsdtar and tar verify nothing and know no whiteouts; the last is named by the user."""
    found = [
        Command("umoci", work, _umoci, lambda image: image.compression != "zstd"),
        Command("bsdtar", work, lambda image, target: " && ".join(
            f"bsdtar --same-owner --numeric-owner -xpf {shlex.quote(blob)} -C {shlex.quote(target)}"
            for blob in image.blobs)),
        Command("igzip or zstd, tar", work, lambda image, target: " && ".join(
            f"{'zstd' if image.compression == 'zstd' else 'igzip'} -dc {shlex.quote(blob)}"
            f" | tar -x --same-owner --numeric-owner -p -f - -C {shlex.quote(target)}" for blob in image.blobs)),
    ]
    found[0].maps_ids = found[0].does_all = True
    if program := os.environ.get("PROXMOX_OCI"):
        found.append(Command("proxmox-oci", work, lambda image, target: [program, image.archive, target],
                             in_namespace=True))
        found[-1].does_all = True
    return found


def _umoci(image, target):
    return ["umoci", "raw", "unpack", "--image", image.layout + ":latest", "--uid-map", MAP, "--gid-map", MAP, target]
