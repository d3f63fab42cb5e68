package pve.oci.tar;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A copy of what {@link TarReader} said about an entry, to be compared. All bytes are characters of ISO 8859-1.
 *
 * @param content with the holes of a sparse file filled
 */
record ReadEntry(
        String name,
        EntryType type,
        String linkName,
        int mode,
        long uid,
        long gid,
        long size,
        long mtimeSeconds,
        int mtimeNanos,
        long deviceMajor,
        long deviceMinor,
        Map<String, String> xattrs,
        String content) {
    private static final int MAX_CONTENT = 8 << 20;

    static List<ReadEntry> readAll(byte[] archive) throws IOException {
        return readAll(archive, 64 << 10, TarLimits.DEFAULT);
    }

    static List<ReadEntry> readAll(byte[] archive, int bufferSize, TarLimits limits) throws IOException {
        BytesSource source = new BytesSource(archive, bufferSize);
        TarReader reader = new TarReader(source, limits);
        List<ReadEntry> entries = new ArrayList<>();
        while (reader.next()) {
            entries.add(copy(reader));
        }
        reader.finish();
        if (source.consumed() != archive.length) {
            throw new AssertionError("finish() left bytes of the source");
        }
        return entries;
    }

    static ReadEntry readOne(TarBuilder archive) throws IOException {
        List<ReadEntry> entries = readAll(archive.build());
        if (entries.size() != 1) {
            throw new AssertionError("not one entry: " + entries);
        }
        return entries.get(0);
    }

    private static ReadEntry copy(TarReader reader) throws IOException {
        TarEntry entry = reader.entry();
        Map<String, String> xattrs = new LinkedHashMap<>();
        for (Xattr xattr : entry.xattrs()) {
            xattrs.put(new String(xattr.name(), ISO_8859_1), new String(xattr.value(), ISO_8859_1));
        }
        return new ReadEntry(
                new String(entry.name(), 0, entry.nameLength(), ISO_8859_1),
                entry.type(),
                new String(entry.linkName(), 0, entry.linkNameLength(), ISO_8859_1),
                entry.mode(),
                entry.uid(),
                entry.gid(),
                entry.size(),
                entry.mtimeSeconds(),
                entry.mtimeNanos(),
                entry.deviceMajor(),
                entry.deviceMinor(),
                xattrs,
                content(reader));
    }

    private static String content(TarReader reader) throws IOException {
        long size = reader.entry().size();
        byte[] content = new byte[(int) Math.min(size, MAX_CONTENT)];
        while (reader.nextData()) {
            if (reader.dataLength() <= 0 || reader.fileOffset() + reader.dataLength() > size) {
                throw new AssertionError("piece beyond the end of the file");
            }
            if (size <= MAX_CONTENT) {
                reader.dataBuffer().get(reader.dataOffset(), content, (int) reader.fileOffset(), reader.dataLength());
            }
        }
        return size <= MAX_CONTENT ? new String(content, ISO_8859_1) : "";
    }
}
