package pve.oci.tar;

import org.jspecify.annotations.Nullable;

/** What an entry of a tar archive is, by its typeflag (tar(5)). */
public enum EntryType {
    REGULAR,
    HARD_LINK,
    SYMLINK,
    CHARACTER_DEVICE,
    BLOCK_DEVICE,
    DIRECTORY,
    FIFO;

    /** Type of a typeflag that stands for an entry of its own; null for every other one. */
    static @Nullable EntryType of(byte typeflag) {
        return switch (typeflag) {
            // NUL is v7's regular file; 7 is a contiguous file, which Linux does not have; S is GNU's sparse file
            case 0, '0', '7', 'S' -> REGULAR;
            case '1' -> HARD_LINK;
            case '2' -> SYMLINK;
            case '3' -> CHARACTER_DEVICE;
            case '4' -> BLOCK_DEVICE;
            case '5' -> DIRECTORY;
            case '6' -> FIFO;
            default -> null;
        };
    }

    public boolean isDevice() {
        return this == CHARACTER_DEVICE || this == BLOCK_DEVICE;
    }
}
