"""What is in a tree, as a digest: names, types, modes, owners, content, targets, hard links, attributes, times."""

import concurrent.futures
import hashlib
import os
import stat


def _content(path):
    sha256 = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            sha256.update(piece)
    return sha256.hexdigest()


def _paths(root):
    found, folders = [], [b""]
    while folders:
        folder = folders.pop()
        with os.scandir(os.path.join(root, folder) if folder else root) as entries:
            for entry in entries:
                path = os.path.join(folder, entry.name)
                found.append(path)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(path)
    return sorted(found)


def lines(root, id_offset=0):
    """
    One line an entry. Owners are counted from id_offset. Times of directories are left out: no two programs agree on
    those of directories that a layer has no entry for.
    """
    root = os.fsencode(root)
    first_names, jobs = {}, []
    for path in _paths(root):
        full = os.path.join(root, path)
        status = os.lstat(full)
        kind = stat.S_IFMT(status.st_mode)
        line = [path, oct(status.st_mode), status.st_uid - id_offset, status.st_gid - id_offset]
        if kind != stat.S_IFDIR:
            first = first_names.setdefault(status.st_ino, path)
            line += [status.st_size, int(status.st_mtime), first if status.st_nlink > 1 else b""]
        if kind == stat.S_IFLNK:
            line.append(os.readlink(full))
        for name in sorted(os.listxattr(full, follow_symlinks=False)):
            line += [name, os.getxattr(full, name, follow_symlinks=False)]
        jobs.append((line, full if kind == stat.S_IFREG else None))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        contents = list(pool.map(lambda job: _content(job[1]) if job[1] else None, jobs))
    return [repr([*job[0], content]) for job, content in zip(jobs, contents)]


def difference(expected, actual):
    """The first difference of two lists of lines, in words; None if there is none."""
    for left, right in zip(expected, actual):
        if left != right:
            return f"expected {left}, found {right}"
    if len(expected) != len(actual):
        return f"expected {len(expected)} entries, found {len(actual)}"
    return None


def digest(listing):
    return hashlib.sha256("\n".join(listing).encode()).hexdigest()
