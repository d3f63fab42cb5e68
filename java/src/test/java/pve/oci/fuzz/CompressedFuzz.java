package pve.oci.fuzz;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import pve.oci.compress.Compression;
import pve.oci.compress.CorruptBlobException;
import pve.oci.compress.Decompressor;
import pve.oci.compress.Decompressors;
import pve.oci.compress.WindowLimitException;

/** Compressed blobs: what comes out does not depend on the sizes of the pieces that go in and out. */
final class CompressedFuzz {
    private static final int MAXIMUM_OUTPUT = 1 << 20;

    private CompressedFuzz() {}

    static void check(Compression compression, byte[] input) throws IOException {
        Result whole = decompress(compression, input, Math.max(1, input.length), 1 << 16);
        Result pieces = decompress(compression, input, 7, 13);
        // libzstd looks at the size that a frame announces when it has the whole frame, but not behind an empty last
        // block
        boolean isStrict = compression == Compression.GZIP;
        if (isStrict && !whole.ending.equals(pieces.ending)) {
            throw new AssertionError(whole.ending + " or " + pieces.ending);
        }
        // of a blob that breaks off, less may have been written
        int length = Math.min(whole.bytes.length, pieces.bytes.length);
        boolean isEqual = (whole.ending.equals("end") && pieces.ending.equals("end"))
                ? Arrays.equals(whole.bytes, pieces.bytes)
                : Arrays.equals(whole.bytes, 0, length, pieces.bytes, 0, length);
        if (!isEqual) {
            throw new AssertionError("other bytes in pieces");
        }
    }

    private static final class Result {
        private final byte[] bytes;
        private final String ending;

        Result(byte[] bytes, String ending) {
            this.bytes = bytes;
            this.ending = ending;
        }
    }

    private static Result decompress(Compression compression, byte[] input, int inSize, int outSize)
            throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        ByteBuffer in = ByteBuffer.allocateDirect(inSize);
        ByteBuffer out = ByteBuffer.allocateDirect(outSize);
        try (Decompressor decompressor = Decompressors.of(compression, 20)) {
            for (int at = 0; at < input.length; at += inSize) {
                in.clear().put(input, at, Math.min(inSize, input.length - at)).flip();
                do {
                    out.clear();
                    decompressor.decompress(in, out);
                    byte[] piece = new byte[out.flip().remaining()];
                    out.get(piece);
                    bytes.writeBytes(piece);
                    if (bytes.size() > MAXIMUM_OUTPUT) {
                        return new Result(Arrays.copyOf(bytes.toByteArray(), MAXIMUM_OUTPUT), "too large");
                    }
                } while (out.limit() == out.capacity());
                if (in.hasRemaining()) {
                    throw new AssertionError("input was left");
                }
            }
            decompressor.finish();
            return new Result(bytes.toByteArray(), "end");
        } catch (CorruptBlobException | WindowLimitException e) {
            return new Result(bytes.toByteArray(), "error");
        }
    }
}
