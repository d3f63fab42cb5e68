"""
What more cores would give: the pipeline's stages as tasks on n cores, with the processor seconds that were measured.

Content goes through three stages in pieces: read (decompress), hash (of blob and content), apply (make files).
In each layer the pieces of a stage follow each other; apply takes layer after layer. So many layers may be read at
once, and apply may be shared by so many writers. A piece that is read waits in a slot until both others are done with
it; each of several readers has slots of its own.
"""

import heapq

PIECE_SIZE = 512 << 10
SLOTS = 16  # of one reader
SLOTS_OF_EACH = 64  # of two: 32 MiB each, the default of read-ahead


def readers(cores):
    """As many as pve.oci.layer.LayerPipeline has."""
    return 2 if cores > 3 else 1


def wall(read, hashing, apply, layers, size, cores, readers=1, writers=1):
    """Seconds on so many cores; read, hashing and apply are processor seconds of the whole image, size its bytes."""
    pieces = max(1, size // layers // PIECE_SIZE)
    schedule = _Schedule(layers, pieces, readers, writers)
    return schedule.run({"read": read, "hash": hashing, "apply": apply}, cores)


class _Schedule:
    def __init__(self, layers, pieces, readers, writers):
        self.layers, self.pieces, self.readers, self.writers = layers, pieces, readers, writers
        self.slots = SLOTS_OF_EACH if readers > 1 else SLOTS
        self.done = {stage: [0] * layers for stage in ("read", "hash", "apply")}
        self.busy = {stage: [0] * layers for stage in ("read", "hash", "apply")}

    def _applying(self):
        """The layer that apply is at."""
        return next((i for i in range(self.layers) if self.done["apply"][i] < self.pieces), self.layers)

    def _may_start(self, stage, layer):
        started = self.done[stage][layer] + self.busy[stage][layer]
        if started == self.pieces:
            return False
        if stage == "read":
            unfinished = [i for i in range(self.layers) if self.done["read"][i] < self.pieces][:self.readers]
            held = started - min(self.done["hash"][layer], self.done["apply"][layer])
            return layer in unfinished and not self.busy["read"][layer] and held < self.slots
        if started >= self.done["read"][layer]:
            return False
        if stage == "hash":
            return not self.busy["hash"][layer]
        return layer == self._applying() and self.busy["apply"][layer] < self.writers

    def _next(self):
        """Reading first: it is the stage that all others wait for, and slots bound how far it gets ahead."""
        for layer in range(self.layers):
            for stage in ("read", "apply", "hash"):
                if self._may_start(stage, layer):
                    return stage, layer
        return None

    def run(self, seconds, cores):
        now, running = 0.0, []
        cost = {stage: each / self.layers / self.pieces for stage, each in seconds.items()}
        while True:
            while len(running) < cores and (task := self._next()):
                self.busy[task[0]][task[1]] += 1
                heapq.heappush(running, (now + cost[task[0]], *task))
            if not running:
                return now
            now, stage, layer = heapq.heappop(running)
            self.busy[stage][layer] -= 1
            self.done[stage][layer] += 1
