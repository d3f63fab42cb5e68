"""Writes one layer as an uncompressed tar archive."""

import io
import tarfile

TIME = 1_700_000_000


class LayerWriter:
    """An archive in the making. A name that was written is not written again; missing parents are added."""

    def __init__(self, path):
        self.tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT, copybufsize=1 << 20)
        self.kinds = {}
        self.sizes = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tar.close()

    def _parents(self, name):
        parent = name.rpartition("/")[0]
        if parent and parent not in self.kinds:
            self.directory(parent)

    def add(self, entry, content=None):
        if entry.name in self.kinds:
            return
        self._parents(entry.name)
        entry.pax_headers = {}
        entry.mtime = int(entry.mtime)
        self.kinds[entry.name] = entry.type
        if entry.isreg():
            self.sizes[entry.name] = entry.size
        self.tar.addfile(entry, content)

    def _entry(self, name, kind, mode):
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.mtime = kind, mode, TIME + len(self.kinds) % 86400
        return entry

    def directory(self, name, mode=0o755):
        self.add(self._entry(name, tarfile.DIRTYPE, mode))

    def file(self, name, content, mode=0o644, uid=0, gid=0):
        entry = self._entry(name, tarfile.REGTYPE, mode)
        entry.size, entry.uid, entry.gid = len(content), uid, gid
        self.add(entry, io.BytesIO(content))

    def stream(self, name, size, reader, mode=0o644):
        entry = self._entry(name, tarfile.REGTYPE, mode)
        entry.size = size
        self.add(entry, reader)

    def symlink(self, name, target):
        entry = self._entry(name, tarfile.SYMTYPE, 0o777)
        entry.linkname = target
        self.add(entry)

    def hard_link(self, name, target):
        entry = self._entry(name, tarfile.LNKTYPE, 0o644)
        entry.linkname = target
        self.add(entry)

    def whiteout(self, name):
        parent, _, last = name.rpartition("/")
        self.file(f"{parent}/.wh.{last}" if parent else f".wh.{last}", b"", 0o600)

    def opaque_whiteout(self, directory):
        self.file(f"{directory}/.wh..wh..opq", b"", 0o600)
