package pve.oci.compress;

import java.nio.ByteBuffer;

/** Copies a blob that is not compressed. */
final class StoredDecompressor implements Decompressor {
    @Override
    public void decompress(ByteBuffer in, ByteBuffer out) {
        int count = Math.min(in.remaining(), out.remaining());
        int inLimit = in.limit();
        in.limit(in.position() + count);
        out.put(in);
        in.limit(inLimit);
    }

    @Override
    public void finish() {}

    @Override
    public void close() {}
}
