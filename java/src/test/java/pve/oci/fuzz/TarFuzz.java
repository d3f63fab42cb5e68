package pve.oci.fuzz;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import pve.oci.tar.BytesSource;
import pve.oci.tar.TarEntry;
import pve.oci.tar.TarFormatException;
import pve.oci.tar.TarLimitException;
import pve.oci.tar.TarLimits;
import pve.oci.tar.TarReader;

/**
 * Tar archives: entries do not depend on where the buffers end, nor on whether their content is read or passed over.
 */
public final class TarFuzz {
    private static final TarLimits LIMITS = new TarLimits(1000, 1200, 4000, 40, 500, 8, 16, 1 << 20);

    private TarFuzz() {}

    /** One input. */
    public static void fuzzerTestOneInput(byte[] input) throws IOException {
        List<String> entries = read(input, 512, true);
        check(entries, read(input, 4096, true));
        List<String> passedOver = read(input, 1024, false);
        // content that is missing is seen when it is read, or when the next header is wanted
        check(withoutEnd(entries), withoutEnd(passedOver));
    }

    private static List<String> withoutEnd(List<String> entries) {
        return entries.subList(0, entries.size() - 1);
    }

    private static void check(List<String> first, List<String> second) {
        if (!first.equals(second)) {
            throw new AssertionError(first + "\n" + second);
        }
    }

    /** A line for each entry, and one for the end. */
    private static List<String> read(byte[] archive, int bufferSize, boolean readsContent) throws IOException {
        List<String> lines = new ArrayList<>();
        TarReader reader = new TarReader(new BytesSource(archive, bufferSize), LIMITS);
        try {
            while (reader.next()) {
                lines.add(describe(reader.entry()));
                long at = 0;
                while (readsContent && reader.nextData()) {
                    if (reader.fileOffset() < at || reader.dataLength() <= 0) {
                        throw new AssertionError("content goes backwards");
                    }
                    at = reader.fileOffset() + reader.dataLength();
                    // within the buffer
                    reader.dataBuffer().get(reader.dataOffset() + reader.dataLength() - 1);
                }
                boolean isWhole =
                        reader.entry().isSparse() || at == reader.entry().size();
                if (at > reader.entry().size() || (readsContent && !isWhole)) {
                    throw new AssertionError("content of " + at + " bytes: " + describe(reader.entry()));
                }
            }
            reader.finish();
            lines.add("end");
        } catch (TarFormatException | TarLimitException e) {
            lines.add(String.valueOf(e.getMessage()));
        }
        return lines;
    }

    private static String describe(TarEntry entry) {
        if (entry.nameLength() == 0 || entry.size() < 0 || (entry.mode() & ~07777) != 0) {
            throw new AssertionError("impossible entry");
        }
        return entry.type() + " "
                + new String(entry.name(), 0, entry.nameLength(), java.nio.charset.StandardCharsets.ISO_8859_1)
                + " "
                + new String(entry.linkName(), 0, entry.linkNameLength(), java.nio.charset.StandardCharsets.ISO_8859_1)
                + " " + entry.mode() + " " + entry.uid() + " " + entry.gid() + " " + entry.size() + " "
                + entry.mtimeSeconds() + " " + entry.mtimeNanos() + " " + entry.deviceMajor() + " "
                + entry.deviceMinor()
                + " " + entry.xattrs() + " " + entry.offset() + " " + entry.contentOffset();
    }
}
