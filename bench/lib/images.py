"""The images to measure with. Each is built once into the cache and kept; its parameters are part of its name."""

import json
import os
import shutil

from lib import archive, content, debs
from lib.layer import LayerWriter

# Raised when images change, so that old ones in a cache are not taken for them.
VERSION = 1
APPLETS = "sh ls cat cp mv rm ln mkdir rmdir chmod chown ps top kill grep sed awk find xargs tar gzip vi wget ping"
SOFTWARE = [["g++", "make"], ["git", "python3", "perl", "vim"], ["default-jre-headless"]]


class Image:
    """A built image: .archive is an OCI archive, .layout a directory with the same, .tars its layers uncompressed."""

    def __init__(self, name, folder):
        self.name, self.folder = name, folder
        self.archive = os.path.join(folder, "image.tar")
        self.layout = os.path.join(folder, "layout")
        with open(os.path.join(folder, "meta.json"), encoding="utf-8") as file:
            self.meta = json.load(file)
        self.compression = self.meta["compression"]
        self.entries, self.size, self.stored = self.meta["entries"], self.meta["bytes"], self.meta["stored"]
        self.has_whiteouts = self.meta["whiteouts"] > 0
        self.tars = [os.path.join(folder, tar) for tar in self.meta["tars"]]
        self.blobs = [os.path.join(self.layout, "blobs", *blob.split(":")) for blob in self.meta["blobs"]]

    def files(self):
        return [self.archive, *self.blobs]


class Cache:
    """The folder with the built images and the packages they are made of."""

    def __init__(self, folder, say):
        self.folder, self.say = folder, say
        os.makedirs(folder, exist_ok=True)

    def get(self, name, make, compression="gzip"):
        """The image, built by make(LayerSet) unless the cache has it."""
        folder = os.path.join(self.folder, f"{name}.v{VERSION}")
        if not os.path.exists(os.path.join(folder, "meta.json")):
            self.say(f"building image {name}")
            shutil.rmtree(folder, ignore_errors=True)
            os.makedirs(folder)
            layers = LayerSet(folder)
            make(layers)
            layers.close()
            self._finish(folder, layers, compression)
        return Image(name, folder)

    @staticmethod
    def _finish(folder, layers, compression):
        descriptors = archive.build(folder, layers.paths, compression)
        meta = {
            "compression": compression,
            "entries": sum(layers.entries),
            "whiteouts": layers.whiteouts,
            "bytes": sum(os.path.getsize(tar) for tar in layers.paths),
            "stored": sum(layer["size"] for layer in descriptors),
            "tars": [os.path.basename(tar) for tar in layers.paths],
            "blobs": [layer["digest"] for layer in descriptors],
        }
        with open(os.path.join(folder, "meta.json"), "w", encoding="utf-8") as file:
            json.dump(meta, file)

    def packages(self, files):
        folder = os.path.join(self.folder, "packages")
        debs.download(files, folder)
        return [os.path.join(folder, file) for file in files]

    # The images that stand for real ones.

    def busybox(self):
        return self.get("busybox", self._make_busybox)

    def debian(self):
        return self.get("debian", lambda layers: self._add_packages(layers, debs.closure(debs.base_packages())))

    def debian_stored(self):
        return self._same(self.debian(), "none")

    def multi(self):
        return self.get("multi", self._make_multi)

    def multi_zstd(self):
        return self._same(self.multi(), "zstd")

    def _same(self, same, compression):
        """The layers of another image, in another compression."""
        def take_over(layers):
            for tar in same.tars:
                os.link(tar, layers.path())
            layers.entries, layers.whiteouts = [same.entries], same.meta["whiteouts"]
        name = same.name + {"zstd": "-zstd", "none": "-stored"}[compression]
        return self.get(name, take_over, compression)

    def smallfiles(self, count=100_000):
        def make(layers):
            pool = self.pool(1)
            for layer in range(2):
                with layers.next() as tar:
                    self._add_small_files(tar, pool, f"srv/{layer}", count // 2, 8 << 10)
        return self.get(f"smallfiles-{count}", make)

    def bigfiles(self, megabytes=1000):
        def make(layers):
            pool = self.pool(2)
            with layers.next() as tar:
                for i in range(5):
                    size = (megabytes << 20) // 5
                    tar.stream(f"opt/big{i}.bin", size, content.Mixture(pool, size))
        return self.get(f"bigfiles-{megabytes}", make)

    # The images that grow in one respect.

    def with_entries(self, count):
        def make(layers):
            with layers.next() as tar:
                self._add_small_files(tar, self.pool(3), "srv", count, 1 << 10)
        return self.get(f"entries-{count}", make)

    def with_layers(self, count):
        def make(layers):
            pool = self.pool(4)
            for layer in range(count):
                with layers.next() as tar:
                    self._add_small_files(tar, pool, f"srv/{layer}", 10_000 // count, 5 << 10)
        return self.get(f"layers-{count}", make)

    def with_bytes(self, megabytes):
        def make(layers):
            pool, size = self.pool(5), 256 << 10
            with layers.next() as tar:
                for i in range(megabytes * 4):
                    tar.stream(f"opt/{i // 100}/{i}.bin", size, content.Mixture(pool, size))
        return self.get(f"bytes-{megabytes}", make)

    def pool(self, seed):
        """Of the compiler's layer: programs and libraries."""
        return content.Pool(self.multi().tars[1], seed)

    @staticmethod
    def _add_small_files(tar, pool, folder, count, mean):
        for i in range(count):
            tar.file(f"{folder}/{i // 1000}/{i // 100 % 10}/{i}", pool.take(pool.file_size(mean)),
                     uid=i % 5 * 100, gid=i % 3 * 100)

    def _make_busybox(self, layers):
        path = self.packages([file for file in debs.closure(["busybox-static"])
                              if file.startswith("busybox-static_")])[0]
        with layers.next() as tar:
            program = next(reader.read() for entry, reader in debs.entries(path) if entry.name == "usr/bin/busybox")
            tar.file("bin/busybox", program, 0o755)
            for applet in APPLETS.split():
                tar.hard_link(f"bin/{applet}", "bin/busybox")
            for i in range(400 - len(APPLETS.split())):
                tar.hard_link(f"bin/applet{i}", "bin/busybox")
            for name, text in (("passwd", "root:x:0:0:root:/root:/bin/sh\n"), ("group", "root:x:0:\n")):
                tar.file(f"etc/{name}", text.encode())
            for name in ("dev", "home", "proc", "sys", "usr/bin", "var/log"):
                tar.directory(name)
            tar.directory("tmp", 0o1777)
            tar.directory("root", 0o700)

    def _add_packages(self, layers, files):
        with layers.next() as tar:
            for name in sorted(debs.MERGED):
                tar.symlink(name, f"usr/{name}")
            for path in self.packages(files):
                for entry, reader in debs.entries(path):
                    tar.add(entry, reader)

    def _make_multi(self, layers):
        seen = debs.closure(debs.base_packages())
        self._add_packages(layers, seen)
        for names in SOFTWARE:
            files = [file for file in debs.closure(names) if file not in seen]
            seen += files
            with layers.next() as tar:
                for path in self.packages(files):
                    for entry, reader in debs.entries(path):
                        tar.add(entry, reader)
        self._add_update(layers)
        self._add_application(layers)

    @staticmethod
    def _add_update(layers):
        """Every tenth file of the first layer anew, half of the documentation gone."""
        base = layers.writers[0]
        pool = content.Pool(layers.paths[1], 6)
        files = [name for name in base.sizes if not name.startswith("usr/share/doc/")]
        with layers.next() as tar:
            for i, name in enumerate(files[::10]):
                tar.stream(name, base.sizes[name], content.Mixture(pool, base.sizes[name]), 0o755 if i % 2 else 0o600)
            folders = sorted({"/".join(name.split("/")[:4]) for name in base.kinds if name.count("/") > 3
                              and name.startswith("usr/share/doc/")})
            for folder in folders[::2]:
                tar.whiteout(folder)
                layers.whiteouts += 1

    def _add_application(self, layers):
        """Small files, links among them, one directory of the first layer replaced."""
        pool = content.Pool(layers.paths[1], 7)
        with layers.next() as tar:
            self._add_small_files(tar, pool, "srv/app", 2000, 4 << 10)
            for i in range(200):
                tar.hard_link(f"srv/links/h{i}", f"srv/app/0/0/{i % 100}")
                tar.symlink(f"srv/links/s{i}", f"../app/0/0/{i % 100}")
            tar.opaque_whiteout("usr/share/zoneinfo")
            tar.file("usr/share/zoneinfo/UTC", b"TZif2", 0o644)
            layers.whiteouts += 1


class LayerSet:
    """The layers of an image in the making, in order."""

    def __init__(self, folder):
        self.folder, self.paths, self.writers = folder, [], []
        self.entries, self.whiteouts = [], 0

    def path(self):
        self.paths.append(os.path.join(self.folder, f"layer-{len(self.paths)}.tar"))
        return self.paths[-1]

    def next(self):
        self.writers.append(LayerWriter(self.path()))
        return self.writers[-1]

    def close(self):
        self.entries += [len(writer.kinds) for writer in self.writers]


