"""Measures what the work itself costs when the fastest program does each part. Engines are compared with this limit."""

import gzip
import os
import shlex
import subprocess

from lib import engines

EMPTY = {"gzip": gzip.compress(b""), "zstd": bytes.fromhex("28b52ffd2000010000"), "none": b""}


class Limit:
    """Decompression by igzip or zstd, sha256 of blobs and content by openssl, creation by native/create.c."""

    def __init__(self, work, image, flat):
        self.work, self.image, self.flat = work, image, flat

    def _commands(self):
        """Part, command that does it, and the same with nothing to do: starting programs is no part of the limit."""
        decompress = {"gzip": "igzip -dc", "zstd": "zstd -dc", "none": "cat"}[self.image.compression]

        def inflate(blobs):
            return ["sh", "-ec", " && ".join(f"{decompress} {shlex.quote(blob)} >/dev/null" for blob in blobs)]

        def digest(files):
            return ["openssl", "dgst", "-sha256", *files]
        empty = os.path.join(self.work, "empty")
        with open(empty, "wb") as file:
            file.write(EMPTY[self.image.compression])
        yield "inflate", inflate(self.image.blobs), inflate([empty] * len(self.image.blobs))
        yield "hash_blobs", digest(self.image.blobs), digest([empty])
        yield "hash_content", digest(self.image.tars), digest([empty])

    def parts(self, target):
        """Seconds of wall and of processor time by part; the tree is made in target."""
        costs = {}
        for part, command, nothing in self._commands():
            cost, start = engines.timed(self.work, command), engines.timed(self.work, nothing)
            costs[part] = {kind: max(0.0, cost[kind] - start[kind]) for kind in ("wall", "cpu")}
        created = subprocess.run([os.path.join(self.work, "create"), self.flat, target],
                                 check=True, capture_output=True, text=True).stdout.split()
        costs["create"] = {"wall": float(created[0]), "cpu": float(created[1])}
        return costs


def write_flat(tree, path):
    """Writes a tree as one tar archive as native/create.c reads it: parents first, GNU long names."""
    command = (f"cd {shlex.quote(tree)} && find . -mindepth 1 -printf '%P\\0' | LC_ALL=C sort -z"
               f" | tar -c --format=gnu --numeric-owner --no-recursion --null -T - -f {shlex.quote(path)}")
    subprocess.run(["bash", "-o", "pipefail", "-ec", command], check=True)
