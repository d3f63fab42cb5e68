#!/usr/bin/python3
"""Calls one method of io.pve.oci, as any client may that is not ours, and prints the last reply.

usage: raw-client.py SOCKET METHOD PARAMETERS [lock]

With "lock", the root directory is opened, locked by flock(2) and passed as a descriptor.
"""
import fcntl
import json
import os
import socket
import sys

address, method, text = sys.argv[1:4]
parameters = json.loads(text)
descriptors = []
if "lock" in sys.argv[4:]:
    descriptors.append(os.open(parameters.pop("rootDirectory"), os.O_RDONLY | os.O_DIRECTORY))
    fcntl.flock(descriptors[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
    parameters["rootDirectoryFileDescriptor"] = 0
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(address)
    request = json.dumps({"method": "io.pve.oci." + method, "parameters": parameters})
    socket.send_fds(connection, [request.encode() + b"\0"], descriptors)
    reply = b""
    while not reply.endswith(b"\0"):
        data = connection.recv(65536)
        if not data:
            sys.exit("the connection was closed")
        reply += data
print(reply[:-1].decode())
