package pve.oci.linux;

import java.lang.ref.Reference;
import java.nio.charset.StandardCharsets;

/**
 * Native memory that holds one NUL-terminated string of bytes at a time, for the path arguments of {@link Libc}. It is
 * reused for the next string; one thread owns it.
 */
public final class CString {
    /** The string without bytes, as AT_EMPTY_PATH wants it. */
    public static final long EMPTY;

    private static final CString EMPTY_STRING = new CString(0);

    static {
        EMPTY = EMPTY_STRING.address();
    }

    private final NativeBuffer memory;

    /** Room for strings of that many bytes. */
    public CString(int maximumLength) {
        memory = NativeBuffer.allocate(maximumLength + 1);
    }

    /** A string of its own, for names that do not change. */
    public static CString of(String ascii) {
        byte[] bytes = ascii.getBytes(StandardCharsets.UTF_8);
        CString string = new CString(bytes.length);
        string.set(bytes, 0, bytes.length);
        return string;
    }

    /** A string of its own; none of the bytes is NUL. */
    public static CString of(byte[] bytes) {
        CString string = new CString(bytes.length);
        string.set(bytes, 0, bytes.length);
        return string;
    }

    /** Makes this the string, and returns its address; none of the bytes is NUL. */
    public long set(byte[] bytes) {
        return set(bytes, 0, bytes.length);
    }

    /** A system call that takes the address of a string. */
    public interface Borrower<T> {
        T call(long address) throws ErrnoException;
    }

    /** Makes a system call with a string that is not freed before the call has returned. */
    public static <T> T lend(byte[] bytes, Borrower<T> borrower) throws ErrnoException {
        CString string = of(bytes);
        try {
            return borrower.call(string.address());
        } finally {
            Reference.reachabilityFence(string);
        }
    }

    /** Makes a system call with the text's bytes in UTF-8. */
    public static <T> T lend(String text, Borrower<T> borrower) throws ErrnoException {
        return lend(text.getBytes(StandardCharsets.UTF_8), borrower);
    }

    /** Copies the bytes in and ends them with NUL. The caller has made sure that none of them is NUL. */
    public long set(byte[] bytes, int offset, int length) {
        memory.buffer().put(0, bytes, offset, length).put(length, (byte) 0);
        return memory.address();
    }

    /** Address of the string, the same for every string it holds. */
    public long address() {
        return memory.address();
    }
}
