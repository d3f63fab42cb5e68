package pve.oci.archive;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import pve.oci.oci.ImageException;
import pve.oci.tar.EntryType;
import pve.oci.tar.TarEntry;

/** Where the files of a tar archive begin. The last entry of a name counts, as with tar(1). */
final class TarIndex {
    /** An image of 10,000 layers has that many blobs. */
    static final int MAXIMUM_ENTRIES = 20_000;

    /** Longer than any name that is asked for, so that all of them together do not weigh on the heap. */
    private static final int LONGEST_NAME = 1000;

    /** So many other entries before any that an image archive has: this is another archive, of whatever size. */
    private static final int FOREIGN_ENTRIES = 1000;

    private static final Set<String> TOP_FILES = Set.of("oci-layout", "index.json", "manifest.json", "repositories");

    /** Configs and layers, as docker, skopeo and go-containerregistry name them. */
    private static final Pattern DOCKER_NAME =
            Pattern.compile("(?:sha256:)?[0-9a-f]{64}(?:\\.json|\\.tar(?:\\.gz)?|/.*)?");

    private final Map<String, Entry> entries = new HashMap<>();
    private int foreign;
    private boolean isImage;

    /**
     * One name of the archive.
     *
     * @param offset of the content, for regular files
     * @param target of a link
     */
    record Entry(
            EntryType type,
            long offset,
            long size,
            boolean isSparse,
            @Nullable String target) {}

    /**
     * Adds what the reader stands at.
     *
     * @return whether the rest of the archive matters
     */
    boolean add(TarEntry entry) throws IOException {
        String name = normalize(new String(entry.name(), 0, entry.nameLength(), StandardCharsets.ISO_8859_1));
        if (!isImage && isForeign(name) && ++foreign > FOREIGN_ENTRIES) {
            return false;
        }
        if (name.length() > LONGEST_NAME || entry.linkNameLength() > LONGEST_NAME) {
            return true;
        }
        isImage |= TOP_FILES.contains(name);
        if (entries.size() >= MAXIMUM_ENTRIES) {
            throw ImageException.of("LimitExceeded")
                    .with("limit", "archiveEntries")
                    .with("maximum", MAXIMUM_ENTRIES)
                    .message("archive has more than " + MAXIMUM_ENTRIES + " entries, the limit of archiveEntries");
        }
        String target = new String(entry.linkName(), 0, entry.linkNameLength(), StandardCharsets.ISO_8859_1);
        entries.put(
                name,
                new Entry(
                        entry.type(),
                        entry.contentOffset(),
                        entry.size(),
                        entry.isSparse(),
                        target.isEmpty() ? null : target));
        return true;
    }

    private static boolean isForeign(String name) {
        return !(name.isEmpty()
                || TOP_FILES.contains(name)
                || name.equals("blobs")
                || name.startsWith("blobs/")
                || DOCKER_NAME.matcher(name).matches());
    }

    private static String normalize(String name) {
        int start = 0;
        while (name.startsWith("./", start) || name.startsWith("/", start)) {
            start = name.indexOf('/', start) + 1;
        }
        int end = name.length();
        while (end > start && name.charAt(end - 1) == '/') {
            end--;
        }
        String rest = name.substring(start, end);
        return rest.equals(".") ? "" : rest;
    }

    /** The regular file of that name, by hard link too. */
    @Nullable
    Entry file(String name) throws IOException {
        Entry entry = entries.get(name);
        if (entry != null && entry.target() != null) {
            entry = linked(name, entry, entry.target());
        }
        if (entry == null || entry.type() != EntryType.REGULAR) {
            return null;
        }
        if (entry.isSparse()) {
            throw ImageException.of("MalformedArchive")
                    .message("archive stores the file " + name + " as a sparse file, which image archives must not");
        }
        return entry;
    }

    /** docker save before version 25 has layers that are equal as symbolic links to each other's "../ID/layer.tar". */
    private @Nullable Entry linked(String name, Entry link, String target) {
        if (link.type() == EntryType.HARD_LINK) {
            return entries.get(normalize(target));
        }
        if (link.type() == EntryType.SYMLINK && name.endsWith("/layer.tar") && target.startsWith("../")) {
            return entries.get(target.substring(3));
        }
        return link;
    }

    @Nullable
    Entry any(String name) {
        return entries.get(name);
    }

    boolean isEmpty() {
        return entries.isEmpty();
    }

    /** For messages. */
    static String describe(EntryType type) {
        return switch (type) {
            case REGULAR -> "a regular file";
            case HARD_LINK -> "a hard link";
            case SYMLINK -> "a symbolic link";
            case CHARACTER_DEVICE, BLOCK_DEVICE -> "a device";
            case DIRECTORY -> "a directory";
            case FIFO -> "a FIFO";
        };
    }
}
