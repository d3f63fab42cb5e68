"""Puts layers together to an OCI image: a layout directory, and an archive of it."""

import concurrent.futures
import hashlib
import json
import os
import subprocess
import tarfile

MEDIA_TYPE = "application/vnd.oci.image."
COMPRESSORS = {
    "gzip": ["pigz", "-6", "-n", "-c"],
    "zstd": ["zstd", "-q", "-3", "-c"],
    "none": ["cat"],
}
SUFFIXES = {"gzip": "+gzip", "zstd": "+zstd", "none": ""}


def digest(path):
    sha256 = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            sha256.update(piece)
    return "sha256:" + sha256.hexdigest()


class Layout:
    """A layout directory in the making."""

    def __init__(self, folder):
        self.folder = folder
        self.blobs = os.path.join(folder, "blobs", "sha256")
        os.makedirs(self.blobs)

    def add_layer(self, tar, compression):
        temporary = os.path.join(self.folder, os.path.basename(tar) + ".blob")
        with open(temporary, "wb") as out:
            subprocess.run([*COMPRESSORS[compression], tar], stdout=out, check=True)
        blob = digest(temporary)
        os.rename(temporary, os.path.join(self.blobs, blob.split(":")[1]))
        size = os.path.getsize(os.path.join(self.blobs, blob.split(":")[1]))
        return {"mediaType": MEDIA_TYPE + "layer.v1.tar" + SUFFIXES[compression], "digest": blob, "size": size}

    def add_json(self, kind, content):
        data = json.dumps(content).encode()
        name = hashlib.sha256(data).hexdigest()
        with open(os.path.join(self.blobs, name), "wb") as file:
            file.write(data)
        return {"mediaType": MEDIA_TYPE + kind, "digest": "sha256:" + name, "size": len(data)}

    def write(self, name, content):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            json.dump(content, file)

    def finish(self, layers, diff_ids):
        config = self.add_json("config.v1+json", {
            "architecture": "amd64", "os": "linux",
            "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/usr/bin:/bin"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids}})
        manifest = self.add_json("manifest.v1+json", {
            "schemaVersion": 2, "mediaType": MEDIA_TYPE + "manifest.v1+json", "config": config, "layers": layers})
        manifest["platform"] = {"architecture": "amd64", "os": "linux"}
        manifest["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
        self.write("index.json", {"schemaVersion": 2, "manifests": [manifest]})
        self.write("oci-layout", {"imageLayoutVersion": "1.0.0"})


def build(folder, tars, compression):
    """Writes layout/ and image.tar into the folder; returns the layers' descriptors."""
    layout = Layout(os.path.join(folder, "layout"))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        diff_ids = list(pool.map(digest, tars))
    layers = [layout.add_layer(tar, compression) for tar in tars]
    layout.finish(layers, diff_ids)
    with tarfile.open(os.path.join(folder, "image.tar"), "w", format=tarfile.GNU_FORMAT) as tar:
        for name in ("oci-layout", "index.json", "blobs"):
            tar.add(os.path.join(layout.folder, name), name)
    return layers
