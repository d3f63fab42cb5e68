package pve.oci.compress;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Random;

/** Contents to compress, and decompression in steps of given sizes. */
final class Blobs {
    private static final int GUARD = 16;

    private Blobs() {}

    static byte[] concat(byte[]... parts) {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            all.writeBytes(part);
        }
        return all.toByteArray();
    }

    /** Bytes that compress to about a half. */
    static byte[] content(int size, long seed) {
        Random random = new Random(seed);
        byte[] content = new byte[size];
        for (int i = 0; i < size; i++) {
            boolean repeat = i > 100 && random.nextInt(4) > 0;
            content[i] = repeat ? content[i - 1 - random.nextInt(Math.min(i - 1, 40000))] : (byte) random.nextInt(64);
        }
        return content;
    }

    static byte[] decompress(Decompressor decompressor, byte[] blob) throws IOException {
        return decompress(decompressor, blob, 64 << 10, 64 << 10);
    }

    /** Input in pieces of inSize, output into a buffer of outSize; neither may be touched outside. */
    static byte[] decompress(Decompressor decompressor, byte[] blob, int inSize, int outSize) throws IOException {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        ByteBuffer out =
                ByteBuffer.allocateDirect(outSize + 2 * GUARD).position(GUARD).limit(GUARD + outSize);
        try (decompressor) {
            for (int start = 0; start < blob.length; start += inSize) {
                int count = Math.min(inSize, blob.length - start);
                ByteBuffer in = ByteBuffer.allocateDirect(count + GUARD)
                        .put(GUARD, blob, start, count)
                        .position(GUARD);
                boolean more = true;
                while (more) {
                    int before = in.position();
                    decompressor.decompress(in, out);
                    more = !out.hasRemaining();
                    if (!more && in.hasRemaining()) {
                        throw new AssertionError(
                                "returned with input and room for output, having read " + (in.position() - before));
                    }
                    drain(out, all);
                }
            }
            decompressor.finish();
        }
        return all.toByteArray();
    }

    private static void drain(ByteBuffer out, ByteArrayOutputStream all) {
        for (int i = 0; i < GUARD; i++) {
            if (out.duplicate().clear().get(i) != 0 || out.duplicate().clear().get(out.limit() + i) != 0) {
                throw new AssertionError("written outside of the buffer");
            }
        }
        byte[] piece = new byte[out.position() - GUARD];
        out.get(GUARD, piece);
        all.writeBytes(piece);
        out.position(GUARD);
    }
}
