package pve.oci.bench;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import pve.oci.linux.NativeBuffer;

/** A file in native memory, in pieces as the pipeline has them. */
final class Pieces {
    private Pieces() {}

    /** Reads the whole file; every buffer stands at the beginning of its piece. */
    static List<NativeBuffer> read(String path, int pieceSize) throws IOException {
        List<NativeBuffer> pieces = new ArrayList<>();
        try (FileChannel file = FileChannel.open(Path.of(path))) {
            for (long left = file.size(); left > 0; left -= pieceSize) {
                NativeBuffer piece = NativeBuffer.allocate((int) Math.min(left, pieceSize));
                ByteBuffer buffer = piece.buffer();
                while (buffer.hasRemaining() && file.read(buffer) >= 0) {
                    // on to the piece's end
                }
                buffer.flip();
                pieces.add(piece);
            }
        }
        return pieces;
    }
}
