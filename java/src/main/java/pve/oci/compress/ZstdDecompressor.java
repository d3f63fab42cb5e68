package pve.oci.compress;

import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdDecompressCtx;
import com.github.luben.zstd.ZstdException;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Decompresses zstd: all frames one after the other. Skippable frames, which zstd:chunked and pzstd write, are skipped.
 */
final class ZstdDecompressor implements Decompressor {
    private final int windowLogMax;
    private final ZstdDecompressCtx context;
    private boolean inFrame = true;
    private boolean outWasFull;
    private long offset;

    ZstdDecompressor(int windowLogMax) {
        this.windowLogMax = windowLogMax;
        context = new ZstdDecompressCtx();
        context.setLongMax(windowLogMax);
    }

    @Override
    public void decompress(ByteBuffer in, ByteBuffer out) throws IOException {
        // a call without input makes sense only when output was left behind; libzstd refuses too many of the others
        while (out.hasRemaining() && (in.hasRemaining() || (inFrame && outWasFull))) {
            int start = in.position();
            try {
                inFrame = !context.decompressDirectByteBufferStream(out, in);
            } catch (ZstdException e) {
                throw translate(e);
            }
            offset += in.position() - start;
            outWasFull = !out.hasRemaining();
        }
    }

    private IOException translate(ZstdException e) {
        // libzstd returns errors as negative sizes, and zstd-jni passes them on like that
        long code = Math.abs(e.getErrorCode());
        if (code == Zstd.errFrameParameterWindowTooLarge()) {
            return new WindowLimitException(windowLogMax, offset);
        }
        if (code == Zstd.errPrefixUnknown() && offset > 0 && !inFrame) {
            return new CorruptBlobException(offset, "zstd: trailing garbage after the last frame");
        }
        return new CorruptBlobException(offset, "zstd: " + e.getMessage());
    }

    @Override
    public void finish() throws CorruptBlobException {
        if (inFrame) {
            throw new CorruptBlobException(offset, "zstd: truncated, ends in a frame");
        }
    }

    @Override
    public void close() {
        context.close();
    }
}
