package pve.oci.compress;

import java.nio.ByteBuffer;
import pve.oci.linux.IsaL;

/** Decompresses members with libisal, which also checks the trailer. */
final class IsaLMember implements GzipMember {
    private final IsaL isal = new IsaL();

    @Override
    public void reset() {
        isal.reset();
    }

    @Override
    public boolean inflate(ByteBuffer in, ByteBuffer out) throws MemberException {
        int result = isal.inflate(in, out);
        if (result < 0) {
            throw new MemberException(
                    switch (result) {
                        case IsaL.ISAL_INCORRECT_CHECKSUM -> "wrong checksum or length in a trailer";
                        case IsaL.ISAL_INVALID_BLOCK -> "invalid block";
                        case IsaL.ISAL_INVALID_SYMBOL -> "invalid symbol";
                        case IsaL.ISAL_INVALID_LOOKBACK -> "invalid distance";
                        default -> "invalid data (isal_inflate returned " + result + ")";
                    });
        }
        return isal.isFinished();
    }

    @Override
    public void close() {}
}
