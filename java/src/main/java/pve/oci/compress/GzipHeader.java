package pve.oci.compress;

import java.nio.ByteBuffer;
import java.util.zip.CRC32;

/** Header of a gzip member (RFC 1952, 2.3), read byte by byte and with nothing of it kept. */
final class GzipHeader {
    private static final int FHCRC = 0x02;
    private static final int FEXTRA = 0x04;
    private static final int FNAME = 0x08;
    private static final int FCOMMENT = 0x10;
    private static final int RESERVED = 0xe0;
    private static final int DEFLATE = 8;

    private enum Part {
        MAGIC_1,
        MAGIC_2,
        METHOD,
        FLAGS,
        TIME_AND_SYSTEM,
        EXTRA_SIZE,
        EXTRA,
        NAME,
        COMMENT,
        CHECKSUM,
        END
    }

    private final CRC32 checksum = new CRC32();
    private Part part = Part.MAGIC_1;
    private int flags;
    private int left;
    private int value;

    void reset() {
        checksum.reset();
        part = Part.MAGIC_1;
    }

    /** Reads on; true when the header is complete, otherwise in is empty. */
    boolean read(ByteBuffer in) throws GzipMember.MemberException {
        while (part != Part.END && in.hasRemaining()) {
            int b = in.get() & 0xff;
            if (part != Part.CHECKSUM) {
                checksum.update(b);
            }
            accept(b);
        }
        return part == Part.END;
    }

    private void accept(int b) throws GzipMember.MemberException {
        switch (part) {
            case MAGIC_1 -> expect(b == 0x1f, Part.MAGIC_2, "no gzip magic");
            case MAGIC_2 -> expect(b == 0x8b, Part.METHOD, "no gzip magic");
            case METHOD -> expect(b == DEFLATE, Part.FLAGS, "unknown compression method " + b);
            case FLAGS -> {
                expect((b & RESERVED) == 0, Part.TIME_AND_SYSTEM, "reserved flags set");
                flags = b;
                left = 6;
            }
            case TIME_AND_SYSTEM -> countDown(Part.EXTRA_SIZE);
            case EXTRA_SIZE -> {
                value |= b << (Byte.SIZE * (2 - left));
                left--;
                if (left == 0) {
                    left = value;
                    enter(value == 0 ? Part.NAME : Part.EXTRA);
                }
            }
            case EXTRA -> countDown(Part.NAME);
            case NAME -> endAtZero(b, Part.COMMENT);
            case COMMENT -> endAtZero(b, Part.CHECKSUM);
            case CHECKSUM -> {
                value |= b << (Byte.SIZE * (2 - left));
                left--;
                if (left == 0) {
                    expect(value == (checksum.getValue() & 0xffff), Part.END, "wrong checksum of a header");
                }
            }
            case END -> throw new IllegalStateException("read past the end of a header");
        }
    }

    private void expect(boolean condition, Part next, String otherwise) throws GzipMember.MemberException {
        if (!condition) {
            throw new GzipMember.MemberException(otherwise);
        }
        part = next;
    }

    private void countDown(Part next) {
        left--;
        if (left == 0) {
            enter(next);
        }
    }

    private void endAtZero(int b, Part next) {
        if (b == 0) {
            enter(next);
        }
    }

    // goes on to the first part from there on that the flags announce
    private void enter(Part next) {
        part = next;
        if (part == Part.EXTRA_SIZE) {
            start(FEXTRA, Part.NAME);
        }
        if (part == Part.NAME) {
            start(FNAME, Part.COMMENT);
        }
        if (part == Part.COMMENT) {
            start(FCOMMENT, Part.CHECKSUM);
        }
        if (part == Part.CHECKSUM) {
            start(FHCRC, Part.END);
        }
    }

    private void start(int flag, Part otherwise) {
        if ((flags & flag) == 0) {
            part = otherwise;
        } else if (flag == FEXTRA || flag == FHCRC) {
            left = 2;
            value = 0;
        }
    }
}
