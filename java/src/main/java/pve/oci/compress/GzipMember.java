package pve.oci.compress;

import java.nio.ByteBuffer;

/** Decompresses members of a gzip file, whose headers have been read already. There are two implementations. */
interface GzipMember extends AutoCloseable {
    /** Prepares for the next member. */
    void reset();

    /**
     * Decompresses from one buffer into the other, and moves both positions, but never past the end of the member.
     *
     * @return true when the member is at its end and its trailer was right; otherwise in is empty or out is full
     */
    boolean inflate(ByteBuffer in, ByteBuffer out) throws MemberException;

    @Override
    void close();

    /** What is wrong with a member; {@link GzipDecompressor} knows where. */
    final class MemberException extends Exception {
        private static final long serialVersionUID = 1;

        MemberException(String reason) {
            super(reason, null, false, false);
        }

        String reason() {
            return String.valueOf(getMessage());
        }
    }
}
