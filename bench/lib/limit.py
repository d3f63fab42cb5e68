"""What the work itself costs, done by the fastest program for each part: the limit that an engine can be held against."""

import os
import shlex
import subprocess

from lib import engines


class Limit:
    """Decompression by igzip or zstd, sha256 of blobs and content by openssl, creation by native/create.c."""

    def __init__(self, work, image, flat):
        self.work, self.image, self.flat = work, image, flat

    def parts(self, target):
        """Seconds of wall and of processor time by part; the tree is made in target."""
        decompress = {"gzip": "igzip -dc", "zstd": "zstd -dc", "none": "cat"}[self.image.compression]
        files = " && ".join(f"{decompress} {shlex.quote(blob)} >/dev/null" for blob in self.image.blobs)
        commands = {"inflate": ["sh", "-ec", files],
                    "hash_blobs": ["openssl", "dgst", "-sha256", *self.image.blobs],
                    "hash_content": ["openssl", "dgst", "-sha256", *self.image.tars]}
        costs = {part: engines.timed(self.work, command) for part, command in commands.items()}
        created = subprocess.run([os.path.join(self.work, "create"), self.flat, target],
                                 check=True, capture_output=True, text=True).stdout.split()
        costs["create"] = {"wall": float(created[0]), "cpu": float(created[1])}
        return costs


def write_flat(tree, path):
    """Writes a tree as one tar archive as native/create.c reads it: parents first, GNU long names."""
    command = (f"cd {shlex.quote(tree)} && find . -mindepth 1 -printf '%P\\0' | LC_ALL=C sort -z"
               f" | tar -c --format=gnu --numeric-owner --no-recursion --null -T - -f {shlex.quote(path)}")
    subprocess.run(["bash", "-o", "pipefail", "-ec", command], check=True)
