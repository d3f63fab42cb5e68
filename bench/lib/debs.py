"""Debian packages as material for images: which belong together, their files, what is inside."""

import os
import re
import subprocess
import tarfile
import urllib.parse

# In packages the old way, on every system below /usr.
MERGED = {"bin", "sbin", "lib", "lib32", "lib64", "libx32"}


def base_packages():
    """Names of the packages of a minimal system, as debootstrap chooses them."""
    available = subprocess.run(["apt-cache", "dumpavail"], check=True, capture_output=True, text=True).stdout
    names = set()
    for stanza in available.split("\n\n"):
        if re.search(r"^Priority: (required|important)$|^Essential: yes$", stanza, re.M):
            names.add(stanza.split("\n", 1)[0].split(": ", 1)[1])
    return sorted(names)


def closure(names):
    """The packages with all that they depend on, as names of package files; nothing counts as installed."""
    lines = subprocess.run(
        ["apt-get", "install", "-s", "--no-install-recommends", "-o", "Dir::State::status=/dev/null", *names],
        check=True, capture_output=True, text=True).stdout.splitlines()
    found = [re.match(r"Inst (\S+) \((\S+) .*\[(\w+)\]\)", line) for line in lines]
    return ["{}_{}_{}.deb".format(*match.groups()).replace(":", "%3a") for match in found if match]


def download(files, folder):
    """Fetches the packages that the folder has not got yet."""
    os.makedirs(folder, exist_ok=True)
    missing = [file for file in files if not os.path.exists(os.path.join(folder, file))]
    for start in range(0, len(missing), 50):
        wanted = []
        for file in missing[start:start + 50]:
            name, version, _ = file.rsplit("_", 2)
            wanted.append(f"{name}={urllib.parse.unquote(version)}")
        subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *wanted],
                       cwd=folder, check=True, stdout=subprocess.DEVNULL)


def merged(name):
    """The name of an entry on a system with merged /usr."""
    name = name.removeprefix("./").strip("/")
    return "usr/" + name if name.split("/", 1)[0] in MERGED else name


def entries(path):
    """The entries of a package, as pairs of TarInfo and file object, with their names on a merged system."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE) as process:
        with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
            for entry in tar:
                entry.name = merged(entry.name)
                if entry.islnk():
                    entry.linkname = merged(entry.linkname)
                if entry.name in ("", ".") or entry.name in MERGED:
                    continue
                yield entry, (tar.extractfile(entry) if entry.isreg() else None)
