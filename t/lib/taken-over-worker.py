#!/usr/bin/python3
"""Stands in for a worker that an image has taken over: tries to change the archive that it was given, and writes down
what became of each attempt, one line each, to the file that PVE_OCI_TEST_ATTEMPTS names. With PVE_OCI_TEST_SAYS it
says something large instead: see SAYINGS.

Started by the daemon (--launcher) it connects to the socket of its arguments; the embedded engine's connection is fd 0.
It has no sandbox: what fails, fails by the descriptor alone."""
import array
import errno
import fcntl
import json
import os
import socket
import sys

TRIES = {
    'chmod': lambda fd: os.fchmod(fd, 0o4755),
    'chown': lambda fd: os.fchown(fd, 0, 1),
    'setxattr': lambda fd: os.setxattr(fd, 'user.x', b'1'),
    'utime': lambda fd: os.utime(fd, (0, 0)),
    'write': lambda fd: os.pwrite(fd, b'X', 0),
    'create': lambda fd: os.close(os.open('new', os.O_CREAT | os.O_WRONLY, dir_fd=fd)),
    'open ..': lambda fd: os.stat('../index.json', dir_fd=fd) and os.stat('../../etc/passwd', dir_fd=fd),
    'seek': lambda fd: os.lseek(fd, 7, os.SEEK_SET),
    'non-blocking': lambda fd: fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK | os.O_APPEND),
}

TEXT = '\u4e2d' + 'x' * ((12 << 20) + 900_000)
EVENT = '{"continues":true,"parameters":%s}'
SAYINGS = {
    'error': lambda: '{"error":"io.pve.oci.NotAnOciArchive","parameters":{"format":"tar","message":"%s"}}' % TEXT,
    'log': lambda: EVENT % ('{"log":{"level":"info","message":"%s"}}' % TEXT),
    'objects': lambda: EVENT % ('{"a":[%s]}' % ','.join(['{"a":' * 70 + '0' + '}' * 70] * 2800)),
    'names': lambda: EVENT % ('{%s}' % ','.join('"%d%s":1' % (n, 'x' * 40_000) for n in range(300))),
    'configuration': lambda: (
        '{"parameters":{"images":[],"manifest":{"mediaType":"a","digest":"b","size":1},"layers":[],'
        '"platform":{"architecture":"a","os":"b"},"config":{},"rawConfig":"%s"}}' % TEXT
    ),
}


def receive(connection):
    frame, descriptors = b'', array.array('i')
    while b'\0' not in frame:
        data, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(4 * 16))
        if not data:
            sys.exit(0)
        frame += data
        for _, _, numbers in ancillary:
            descriptors.frombytes(numbers[:len(numbers) - len(numbers) % 4])
    return json.loads(frame.split(b'\0')[0]), descriptors


def attempt(name, descriptor):
    try:
        TRIES[name](descriptor)
    except OSError as error:
        return errno.errorcode[error.errno]
    return 'done'


if '--socket' in sys.argv:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(sys.argv[sys.argv.index('--socket') + 1])
    connection.sendall(b'{"parameters":{"ready":true},"continues":true}\0')
else:
    connection = socket.socket(fileno=0)
call, descriptors = receive(connection)
if 'PVE_OCI_TEST_SAYS' in os.environ:
    with open(os.environ['PVE_OCI_TEST_SAYS'], encoding='ascii') as saying:
        text = saying.read()
    open(os.environ['PVE_OCI_TEST_SAYS'] + '.read', 'w', encoding='ascii').close()
    if text == 'unfinished':
        connection.sendall(EVENT.encode() + b' ' * (1 << 20))
        connection.recv(1)
    elif text == 'stderr':
        try:
            while True:
                os.write(2, b'\xff\n' * 2048)
        except BrokenPipeError:
            connection.sendall(b'{"error":"io.pve.oci.NoRecord","parameters":{"message":"no more of it"}}\0')
    else:
        connection.sendall(SAYINGS[text]().encode() + b'\0')
    sys.exit(0)
if 'archiveFileDescriptor' in call['parameters']:
    archive = descriptors[call['parameters']['archiveFileDescriptor']]
    with open(os.environ['PVE_OCI_TEST_ATTEMPTS'], 'a', encoding='ascii') as log:
        log.write(f"access mode: {fcntl.fcntl(archive, fcntl.F_GETFL) & os.O_ACCMODE}\n")
        for name in TRIES:
            log.write(f'{name}: {attempt(name, archive)}\n')
connection.sendall(b'{"error":"io.pve.oci.NotAnOciArchive","parameters":{"format":"tar","message":"no"}}\0')
connection.settimeout(1)
try:
    connection.recv(1)
except TimeoutError:
    pass
