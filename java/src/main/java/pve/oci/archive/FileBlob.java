package pve.oci.archive;

import java.io.IOException;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.linux.NativeBuffer;

/** A blob that is part of a file. */
final class FileBlob implements BlobSource {
    private final Fd fd;
    private final long size;
    private final long end;
    private final boolean closesFile;
    private long offset;
    private long left;

    FileBlob(Fd fd, long offset, long size, boolean closesFile) {
        this.fd = fd;
        this.offset = offset;
        this.size = size;
        this.end = offset + size;
        this.left = size;
        this.closesFile = closesFile;
    }

    @Override
    public long size() {
        return size;
    }

    @Override
    public int read(NativeBuffer into) throws IOException {
        int length = readFully(fd, into.address(), (int) Math.min(into.size(), left), offset);
        offset += length;
        left -= length;
        return length;
    }

    @Override
    public int readEnd(NativeBuffer into) throws IOException {
        int length = (int) Math.min(into.size(), size);
        return readFully(fd, into.address(), length, end - length);
    }

    /** As many bytes as there are, up to the size asked for. */
    static int readFully(Fd fd, long address, int size, long offset) throws IOException {
        int done = 0;
        while (done < size) {
            long count = Libc.pread(fd.number(), address + done, size - done, offset + done);
            if (count == 0) {
                break;
            }
            done += (int) count;
        }
        return done;
    }

    @Override
    public void close() {
        if (closesFile) {
            fd.close();
        }
    }
}
