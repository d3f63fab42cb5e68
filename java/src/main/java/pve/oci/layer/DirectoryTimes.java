package pve.oci.layer;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import pve.oci.linux.NativeBuffer;
import pve.oci.rootfs.Directory;
import pve.oci.rootfs.EntryPath;
import pve.oci.rootfs.Rootfs;

/**
 * Modification times of the directories that a layer has entries for: set when all of the layer is written, because
 * writing in a directory changes its time. Kept in native memory: a layer may consist of directories.
 */
final class DirectoryTimes {
    private static final int PIECE_SIZE = 64 << 10;

    private final List<NativeBuffer> pieces = new ArrayList<>();
    private final byte[] path = new byte[EntryPath.PATH_MAX];

    void add(EntryPath entry, Directory directory, long seconds, int nanos) {
        int size = 4 * Long.BYTES + entry.length();
        ByteBuffer piece =
                pieces.isEmpty() ? null : pieces.get(pieces.size() - 1).buffer();
        if (piece == null || piece.remaining() < size) {
            NativeBuffer next = NativeBuffer.allocate(PIECE_SIZE);
            pieces.add(next);
            piece = next.buffer();
        }
        piece.putLong(directory.device()).putLong(directory.inode()).putLong(seconds);
        piece.putInt(nanos).putInt(entry.length()).put(entry.bytes(), 0, entry.length());
    }

    /** Sets the times and forgets them. A directory that the layer itself replaced later on has no time to be set. */
    void apply(Rootfs rootfs) throws IOException {
        for (NativeBuffer memory : pieces) {
            ByteBuffer piece = memory.buffer().flip();
            while (piece.hasRemaining()) {
                long device = piece.getLong();
                long inode = piece.getLong();
                long seconds = piece.getLong();
                int nanos = piece.getInt();
                int length = piece.getInt();
                piece.get(path, 0, length);
                Directory directory = rootfs.findDirectory(path, length);
                if (directory != null && directory.device() == device && directory.inode() == inode) {
                    rootfs.setFileTime(directory.number(), seconds, nanos);
                }
            }
        }
        pieces.clear();
    }
}
