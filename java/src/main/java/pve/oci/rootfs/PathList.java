package pve.oci.rootfs;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import pve.oci.linux.NativeBuffer;

/** Paths with a few numbers each, in native memory, because a layer may consist of them. */
public final class PathList {
    private static final int PIECE_SIZE = 64 << 10;
    private static final int NUMBERS = 4;

    private final List<NativeBuffer> pieces = new ArrayList<>();
    private final long[] numbers = new long[NUMBERS];
    private final byte[] bytes = new byte[EntryPath.PATH_MAX];

    /** What is done with each path. Both arguments are used again for the next one. */
    public interface PathVisitor {
        void visit(EntryPath path, long[] numbers) throws IOException;
    }

    /**
     * Adds a path. One that is too long for a system call must have been reached through links; it is not added.
     *
     * @param of up to four numbers
     */
    public void add(byte[] path, int length, long... of) {
        if (length >= EntryPath.PATH_MAX) {
            return;
        }
        int size = (NUMBERS + 1) * Long.BYTES + length;
        ByteBuffer piece =
                pieces.isEmpty() ? null : pieces.get(pieces.size() - 1).buffer();
        if (piece == null || piece.remaining() < size) {
            NativeBuffer next = NativeBuffer.allocate(PIECE_SIZE);
            pieces.add(next);
            piece = next.buffer();
        }
        for (int i = 0; i < NUMBERS; i++) {
            piece.putLong(i < of.length ? of[i] : 0);
        }
        piece.putInt(length).put(path, 0, length);
    }

    /** Visits all in the order in which they were added, and forgets them. */
    public void takeAll(PathVisitor visitor) throws IOException {
        EntryPath path = new EntryPath();
        try {
            for (NativeBuffer memory : pieces) {
                ByteBuffer piece = memory.buffer().flip();
                while (piece.hasRemaining()) {
                    for (int i = 0; i < NUMBERS; i++) {
                        numbers[i] = piece.getLong();
                    }
                    int length = piece.getInt();
                    piece.get(bytes, 0, length);
                    if (path.set(bytes, length) == EntryPath.Problem.NONE) {
                        visitor.visit(path, numbers);
                    }
                }
            }
        } finally {
            pieces.clear();
        }
    }
}
