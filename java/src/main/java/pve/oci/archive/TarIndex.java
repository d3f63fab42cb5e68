package pve.oci.archive;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.oci.ImageError;
import pve.oci.oci.ImageException;
import pve.oci.tar.EntryType;
import pve.oci.tar.TarEntry;

/** Where the files of a tar archive begin. If a name appears more than once, the last entry counts, as with tar(1). */
final class TarIndex {
    /** An image of 10,000 layers has that many blobs. */
    static final int MAXIMUM_ENTRIES = 20_000;

    /** Longer names are left out, so that they cannot fill the heap. No image has files with such names. */
    private static final int LONGEST_NAME = 1000;

    /** An archive that begins with this many entries of other names is no image archive, however large it is. */
    private static final int FOREIGN_ENTRIES = 1000;

    /** The number of links that the kernel follows in one path. */
    private static final int MAXIMUM_LINKS = 40;

    /** How many components are looked up for all names together: links can make long paths of short ones. */
    private static final int MAXIMUM_STEPS = 1_000_000;

    private final Map<String, IndexEntry> entries = new HashMap<>();
    private boolean hasLinks;
    private int foreign;
    private boolean isImage;
    private int steps;

    /**
     * One name of the archive.
     *
     * @param offset of the content, for regular files
     * @param target of a link
     */
    record IndexEntry(
            EntryType type,
            long offset,
            long size,
            boolean isSparse,
            @Nullable String target) {}

    /**
     * Adds the entry that the reader stands at.
     *
     * @return whether the rest of the archive matters
     */
    boolean add(TarEntry entry) throws IOException {
        String stored = text(entry.name(), entry.nameLength());
        if (ImageNames.leadsUp(stored)) {
            // no image archive has such a name, and other programs may read it as another one
            return true;
        }
        String name = ImageNames.clean(stored);
        if (!isImage && !ImageNames.isOfImage(name) && !name.isEmpty() && ++foreign > FOREIGN_ENTRIES) {
            return false;
        }
        if (name.length() > LONGEST_NAME || entry.linkNameLength() > LONGEST_NAME) {
            return true;
        }
        isImage |= ImageNames.isDocument(name);
        if (entries.size() >= MAXIMUM_ENTRIES) {
            throw limit("archiveEntries", MAXIMUM_ENTRIES, "has too many entries");
        }
        boolean isLink = entry.type() == EntryType.HARD_LINK || entry.type() == EntryType.SYMLINK;
        hasLinks |= isLink;
        String target = isLink ? text(entry.linkName(), entry.linkNameLength()) : null;
        entries.put(name, new IndexEntry(entry.type(), entry.contentOffset(), entry.size(), entry.isSparse(), target));
        return true;
    }

    private static String text(byte[] bytes, int length) {
        return new String(bytes, 0, length, StandardCharsets.ISO_8859_1);
    }

    private static ImageException limit(String name, int maximum, String what) {
        return ImageException.limit(name, maximum).exceeded("archive " + what);
    }

    /** The regular file that the name leads to, through links too; null when there is none. */
    @Nullable
    IndexEntry file(String name) throws IOException {
        IndexEntry entry = resolve(ImageNames.clean(name));
        if (entry == null || entry.type() != EntryType.REGULAR) {
            return null;
        }
        if (entry.isSparse()) {
            throw ImageException.of(ImageError.MALFORMED_ARCHIVE)
                    .message("archive stores the file " + name + " as a sparse file, which image archives must not");
        }
        return entry;
    }

    /**
     * Follows links inside the archive, as if it were unpacked into a directory that is the root: docker save before
     * version 25 writes symbolic links for equal layers, and other tools for blobs or for their directory. Nothing
     * outside of the archive can be reached, because only entries of this index are ever looked up.
     */
    private @Nullable IndexEntry resolve(String name) throws IOException {
        if (!hasLinks) {
            return entries.get(name);
        }
        String path = name;
        for (int links = 0; links <= MAXIMUM_LINKS && path.length() <= LONGEST_NAME; links++) {
            int end = endOfLink(path);
            if (end < 0) {
                return entries.get(path);
            }
            path = follow(path, end);
        }
        return null;
    }

    /** Where the first component ends that is a link; -1 if none is. */
    private int endOfLink(String path) throws ImageException {
        for (int end = path.indexOf('/'); ; end = path.indexOf('/', end + 1)) {
            if (++steps > MAXIMUM_STEPS) {
                throw limit("archiveLinks", MAXIMUM_STEPS, "needs too many steps to resolve the links in it");
            }
            IndexEntry entry = entries.get(end < 0 ? path : path.substring(0, end));
            if (entry != null && entry.target() != null) {
                return end < 0 ? path.length() : end;
            }
            if (end < 0) {
                return -1;
            }
        }
    }

    /**
     * Replaces the beginning of the path, up to that index, which is a link, by the link's target. A hard link's target
     * begins at the root.
     */
    private String follow(String path, int end) {
        IndexEntry link = entries.get(path.substring(0, end));
        String target = link == null || link.target() == null ? "" : link.target();
        boolean isFromRoot = target.startsWith("/") || (link != null && link.type() == EntryType.HARD_LINK);
        String parent = isFromRoot ? "" : path.substring(0, path.lastIndexOf('/', end - 1) + 1);
        return ImageNames.clean(parent + target + path.substring(end));
    }

    /** The entry of that name, which may be a link; null when there is none. */
    @Nullable
    IndexEntry any(String name) {
        return entries.get(name);
    }

    boolean isEmpty() {
        return entries.isEmpty();
    }

    /** The type, as messages name it. */
    static String describe(EntryType type) {
        return switch (type) {
            case REGULAR -> "a regular file";
            case HARD_LINK -> "a hard link to a file that is not in the archive";
            case SYMLINK -> "a symbolic link to a file that is not in the archive";
            case CHARACTER_DEVICE, BLOCK_DEVICE -> "a device";
            case DIRECTORY -> "a directory";
            case FIFO -> "a FIFO";
        };
    }
}
