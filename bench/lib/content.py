"""Content that compresses as programs do: pieces of real ones in random order, from a seeded generator."""

import io
import mmap
import random

PIECES = (4 << 10, 16 << 10, 64 << 10)


class Pool:
    """Pieces of one big file."""

    def __init__(self, path, seed):
        with open(path, "rb") as file:
            self.bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.random = random.Random(seed)

    def take(self, size):
        start = self.random.randrange(max(1, len(self.bytes) - size))
        return self.bytes[start:start + size]

    def file_size(self, mean):
        """Sizes of small files: most are below the mean, a few far above."""
        return max(1, min(64 * mean, int(self.random.lognormvariate(0, 1.2) * mean / 2)))


class Mixture(io.RawIOBase):
    """A file of a given size, made while it is read."""

    def __init__(self, pool, size):
        super().__init__()
        self.pool, self.left, self.rest = pool, size, b""

    def readable(self):
        return True

    def read(self, size=-1):
        parts, wanted = [], self.left if size < 0 else min(size, self.left)
        self.left -= wanted
        while wanted:
            if not self.rest:
                self.rest = self.pool.take(self.pool.random.choice(PIECES))
            parts.append(self.rest[:wanted])
            self.rest = self.rest[len(parts[-1]):]
            wanted -= len(parts[-1])
        return b"".join(parts)
