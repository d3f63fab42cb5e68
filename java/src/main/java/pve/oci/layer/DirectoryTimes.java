package pve.oci.layer;

import java.io.IOException;
import pve.oci.rootfs.Directory;
import pve.oci.rootfs.FileMetadata;
import pve.oci.rootfs.PathList;
import pve.oci.rootfs.Rootfs;

/**
 * Modification times of the directories that a layer has entries for. They are set when all of the layer is written,
 * because writing in a directory changes its time. A directory is found again by its path without symbolic links: a
 * link that led to it may be gone by then.
 */
final class DirectoryTimes {
    private final PathList directories = new PathList();

    void add(Directory directory, FileMetadata metadata) {
        byte[] path = directory.path();
        directories.add(path, path.length, directory.device(), directory.inode(), metadata.seconds(), metadata.nanos());
    }

    /** Sets the times and forgets them. A directory that the layer itself has replaced later is left out. */
    void apply(Rootfs rootfs) throws IOException {
        directories.takeAll((path, numbers) -> {
            Directory directory = rootfs.findDirectory(path);
            if (directory != null && directory.device() == numbers[0] && directory.inode() == numbers[1]) {
                rootfs.setTime(directory.fd(), new FileMetadata(0, 0, 0, numbers[2], (int) numbers[3]));
            }
        });
    }
}
