package pve.oci.linux;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * Mappings of this process that only show files: code of libraries, class-data archives, the JDK's modules. Their
 * pages can be given back to the kernel while nobody needs them. They stay in the page cache, and whoever reads them
 * next gets them from there.
 */
public final class FileMappings {
    private static final Path SMAPS = Path.of("/proc/self/smaps");

    /** Start and end of each, one after the other. */
    private long[] addresses = new long[64];

    private int count;

    /** @param list what native/mappings.c lists: {@code start-end,start-end}, hexadecimal addresses; "" for none */
    public FileMappings(String list) {
        for (int from = 0; from < list.length(); from = end(list, ',', from) + 1) {
            add(list.substring(from, end(list, ',', from)));
        }
    }

    /** Finds those that there are now. */
    public void find() throws IOException {
        try (BufferedReader smaps = Files.newBufferedReader(SMAPS, StandardCharsets.ISO_8859_1)) {
            find(smaps);
        }
    }

    /**
     * Takes mappings of files that cannot be written, and of which nothing has been: pages that a library's loader has
     * written, before it protected them, are anonymous memory or have been swapped out.
     */
    void find(BufferedReader smaps) throws IOException {
        count = 0;
        boolean isTaken = false;
        for (String line = smaps.readLine(); line != null; line = smaps.readLine()) {
            if (!isProperty(line)) {
                // address, access, offset, device, inode, path
                isTaken = line.regionMatches(line.indexOf(' ') + 1, "r-", 0, 2) && line.indexOf('/') > 0;
                if (isTaken) {
                    add(line.substring(0, line.indexOf(' ')));
                }
            } else if (isTaken
                    && (line.startsWith("Anonymous:") || line.startsWith("Swap:"))
                    && !line.contains(" 0 ")) {
                isTaken = false;
                count -= 2;
            }
        }
    }

    /** {@code Name:  value}; a mapping's first line begins with its addresses. */
    private static boolean isProperty(String line) {
        return line.charAt(0) >= 'A' && line.charAt(0) <= 'Z';
    }

    private void add(String range) {
        if (count == addresses.length) {
            addresses = Arrays.copyOf(addresses, 2 * count);
        }
        int dash = range.indexOf('-');
        addresses[count++] = Long.parseUnsignedLong(range, 0, dash, 16);
        addresses[count++] = Long.parseUnsignedLong(range, dash + 1, range.length(), 16);
    }

    private static int end(String text, char separator, int from) {
        int index = text.indexOf(separator, from);
        return index < 0 ? text.length() : index;
    }

    /** Gives the pages of all of them back: twice, because the first time others are needed to find out how. */
    public void giveBack() {
        for (int i = 0; i < 2 * count; i += 2) {
            NativeBuffer.giveBack(addresses[i % count], addresses[i % count + 1]);
        }
    }

    /** The mappings in the form that the constructor takes. */
    @Override
    public String toString() {
        StringBuilder list = new StringBuilder();
        for (int i = 0; i < count; i++) {
            list.append(i == 0 ? "" : i % 2 == 1 ? "-" : ",").append(Long.toHexString(addresses[i]));
        }
        return list.toString();
    }
}
