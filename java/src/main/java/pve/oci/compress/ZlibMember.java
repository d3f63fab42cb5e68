package pve.oci.compress;

import java.nio.ByteBuffer;
import java.util.zip.CRC32;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;

/** Decompresses members with the JDK's zlib, where libisal is not installed. */
final class ZlibMember implements GzipMember {
    private static final int TRAILER_SIZE = 8;
    private static final ByteBuffer NO_INPUT = ByteBuffer.allocate(0);

    private final Inflater inflater = new Inflater(true);
    private final CRC32 checksum = new CRC32();
    private long trailer;
    private int trailerSize;

    @Override
    public void reset() {
        inflater.reset();
        checksum.reset();
        trailer = 0;
        trailerSize = 0;
    }

    @Override
    public boolean inflate(ByteBuffer in, ByteBuffer out) throws MemberException {
        if (!inflater.finished()) {
            inflateBlocks(in, out);
        }
        return inflater.finished() && readTrailer(in);
    }

    private void inflateBlocks(ByteBuffer in, ByteBuffer out) throws MemberException {
        inflater.setInput(in);
        try {
            while (out.hasRemaining() && !inflater.finished()) {
                int start = out.position();
                if (inflater.inflate(out) == 0 && !in.hasRemaining()) {
                    break;
                }
                ByteBuffer written = out.duplicate();
                written.limit(out.position()).position(start);
                checksum.update(written);
            }
        } catch (DataFormatException e) {
            throw new MemberException(String.valueOf(e.getMessage()));
        } finally {
            // it would move this buffer's position at the next call
            inflater.setInput(NO_INPUT);
        }
    }

    // CRC-32 and length modulo 2^32, little endian (RFC 1952, 2.3.1)
    private boolean readTrailer(ByteBuffer in) throws MemberException {
        while (trailerSize < TRAILER_SIZE && in.hasRemaining()) {
            trailer |= (in.get() & 0xffL) << (Byte.SIZE * trailerSize);
            trailerSize++;
        }
        if (trailerSize < TRAILER_SIZE) {
            return false;
        }
        if ((trailer & 0xffff_ffffL) != checksum.getValue()
                || trailer >>> Integer.SIZE != (inflater.getBytesWritten() & 0xffff_ffffL)) {
            throw new MemberException("wrong checksum or length in a trailer");
        }
        return true;
    }

    @Override
    public void close() {
        inflater.end();
    }
}
