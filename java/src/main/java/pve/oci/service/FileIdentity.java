package pve.oci.service;

import pve.oci.linux.FileStatus;

/** Identifies a file, whatever names it has. */
record FileIdentity(long device, long inode) {
    static FileIdentity of(FileStatus status) {
        return new FileIdentity(status.device(), status.inode());
    }
}
