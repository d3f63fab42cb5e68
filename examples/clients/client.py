#!/usr/bin/python3
"""A client of pve-ocid in Python, with nothing but the standard library.

usage: client.py inspect ARCHIVE | extract ARCHIVE ROOTFS | cancel JOB
"""
import json
import os
import socket
import sys

ADDRESS = os.environ.get("PVE_OCI_SOCKET", "/run/pve-ocid/io.pve.oci")
MAP = [{"inside": 0, "outside": 100000, "count": 65536}]


def call(method, parameters):
    """Yields the parameters of each reply. When the caller stops, for example by Ctrl-C, the
    connection is closed, which cancels the job."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(ADDRESS)
        request = {"method": "io.pve.oci." + method, "parameters": parameters, "more": True}
        connection.sendall(json.dumps(request).encode() + b"\0")
        buffer = b""
        while True:
            while b"\0" not in buffer:
                data = connection.recv(65536)
                if not data:
                    sys.exit("pve-ocid closed the connection")
                buffer += data
            frame, buffer = buffer.split(b"\0", 1)
            reply = json.loads(frame)
            parameters = reply.get("parameters", {})
            if "error" in reply:
                sys.exit(parameters.get("message", reply["error"]))
            yield parameters
            if not reply.get("continues"):
                return


def main(verb, *words):
    if verb == "inspect":
        for reply in call("InspectImage", {"archivePath": os.path.abspath(words[0])}):
            print(json.dumps(reply["config"], indent=2))
    elif verb == "extract":
        archive, rootfs = map(os.path.abspath, words)
        parameters = {"archivePath": archive, "rootDirectory": rootfs, "uidMap": MAP, "gidMap": MAP}
        for reply in call("ParseAndExtractImage", parameters):
            if "jobId" in reply:
                print("job", reply["jobId"], flush=True)
            if "progress" in reply:
                print("{phase} {bytesRead}/{bytesTotal}".format(**reply["progress"]), flush=True)
            if "result" in reply:
                print("entries", reply["result"]["entriesWritten"])
    elif verb == "cancel":
        list(call("CancelJob", {"id": words[0]}))


if len(sys.argv) < 3:
    sys.exit(__doc__)
main(*sys.argv[1:])
