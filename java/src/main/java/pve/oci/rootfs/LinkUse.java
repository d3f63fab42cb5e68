package pve.oci.rootfs;

/**
 * The symbolic links on the path to a directory, and the directories that their ".." led out of, as {@link EntryKeys}.
 */
final class LinkUse {
    static final LinkUse NONE = new LinkUse(new long[0], new long[0]);

    private final long[] links;
    private final long[] left;

    /**
     * Takes the arrays over.
     *
     * @param links the symbolic links that were followed
     * @param left directories that a link's ".." led out of again
     */
    LinkUse(long[] links, long[] left) {
        this.links = links;
        this.left = left;
    }

    boolean isEmpty() {
        return links.length == 0;
    }

    /** Whether one of the symbolic links is in the set. */
    boolean hasLinkOf(LongSet set) {
        return containsOneOf(set, links);
    }

    /** Whether one of the directories that were left again is in the set. */
    boolean hasLeftOneOf(LongSet set) {
        return containsOneOf(set, left);
    }

    private static boolean containsOneOf(LongSet set, long[] keys) {
        for (long key : keys) {
            if (set.contains(key)) {
                return true;
            }
        }
        return false;
    }

    /** Adds the links and directories to a set, except for those that are in the other set. */
    void addTo(LongSet set, LongSet except) {
        addTo(set, except, links);
        addTo(set, except, left);
    }

    private static void addTo(LongSet set, LongSet except, long[] keys) {
        for (long key : keys) {
            if (!except.contains(key)) {
                set.add(key);
            }
        }
    }
}
