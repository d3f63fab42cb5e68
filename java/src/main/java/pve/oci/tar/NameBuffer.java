package pve.oci.tar;

/** Name of an entry or of what it links to: a byte array that is filled anew for every entry. */
final class NameBuffer {
    private final byte[] bytes;
    private final String label;
    private int length;

    /**
     * @param size the longest name
     * @param label what to call the name in an error
     */
    NameBuffer(int size, String label) {
        this.bytes = new byte[size];
        this.label = label;
    }

    byte[] bytes() {
        return bytes;
    }

    int length() {
        return length;
    }

    void clear() {
        length = 0;
    }

    boolean endsWithSlash() {
        return length > 0 && bytes[length - 1] == '/';
    }

    void set(byte[] source, int start, int count, long offset) throws TarLimitException {
        clear();
        append(source, start, count, offset);
    }

    void append(byte[] source, int start, int count, long offset) throws TarLimitException {
        if (count > bytes.length - length) {
            throw new TarLimitException(label + " is too long", "maximumNameSize", bytes.length, offset);
        }
        System.arraycopy(source, start, bytes, length, count);
        length += count;
    }
}
