package pve.oci.compress;

import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Decompresses gzip: all members one after the other, as estargz and pigz write them. Zeros after the last member are
 * skipped, as gzip(1) does. Anything else there is an error, because it may be a damaged member.
 */
final class GzipDecompressor implements Decompressor {
    private enum State {
        HEADER,
        MEMBER,
        BETWEEN,
        PADDING
    }

    private final GzipMember member;
    private final GzipHeader header = new GzipHeader();
    private State state = State.HEADER;
    private long offset;

    GzipDecompressor(GzipMember member) {
        this.member = member;
    }

    @Override
    public void decompress(ByteBuffer in, ByteBuffer out) throws IOException {
        int start = in.position();
        try {
            while (step(in, out)) {}
        } catch (GzipMember.MemberException e) {
            throw new CorruptBlobException(offset + in.position() - start, "gzip: " + e.reason());
        }
        offset += in.position() - start;
    }

    // false when there is nothing more to do with these buffers
    private boolean step(ByteBuffer in, ByteBuffer out) throws GzipMember.MemberException {
        switch (state) {
            case HEADER -> {
                if (!header.read(in)) {
                    return false;
                }
                member.reset();
                state = State.MEMBER;
            }
            case MEMBER -> {
                // an input that seems to be empty may be in the decompressor
                if (!out.hasRemaining() || !member.inflate(in, out)) {
                    return false;
                }
                state = State.BETWEEN;
            }
            case BETWEEN -> {
                if (!in.hasRemaining()) {
                    return false;
                }
                header.reset();
                state = in.get(in.position()) == 0 ? State.PADDING : State.HEADER;
                if (state == State.HEADER && in.get(in.position()) != 0x1f) {
                    throw trailingBytes();
                }
            }
            case PADDING -> {
                while (in.hasRemaining()) {
                    if (in.get() != 0) {
                        throw trailingBytes();
                    }
                }
                return false;
            }
        }
        return true;
    }

    private static GzipMember.MemberException trailingBytes() {
        return new GzipMember.MemberException("trailing garbage after the last member");
    }

    @Override
    public void finish() throws CorruptBlobException {
        if (state == State.HEADER || state == State.MEMBER) {
            String part = state == State.HEADER ? "a header" : "a member";
            throw new CorruptBlobException(offset, "gzip: truncated, ends in " + part);
        }
    }

    @Override
    public void close() {
        member.close();
    }
}
