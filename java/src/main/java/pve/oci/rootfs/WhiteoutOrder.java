package pve.oci.rootfs;

/**
 * Notices when the result of a layer would depend on the place of a whiteout in it, while entries and whiteouts are
 * applied as they come. The correct result is this: all whiteouts are applied to the tree of the lower layers first,
 * and the entries are made after that. Only symbolic links can make a difference, because only they let a path lead out
 * of a directory that a whiteout or an entry has taken away.
 */
final class WhiteoutOrder {
    /**
     * Links and directories of lower layers that led the layer's entries to their places, and targets of hard links.
     */
    private final LongSet entriesUsed = new LongSet();

    /** Entries that were removed, and directories whose children were; symbolic links were among what was removed. */
    private final LongSet gone = new LongSet();

    private boolean isWatching;

    /** A whiteout was reached through symbolic links of lower layers. */
    private boolean hasFollowedLinks;

    /** Symbolic links were removed or replaced. */
    private boolean hasRemovedLinks;

    /** Paths no longer show which entries the layer has made. */
    private boolean hasLostWay;

    void begin(boolean watches) {
        isWatching = watches;
        hasFollowedLinks = false;
        hasRemovedLinks = false;
        hasLostWay = false;
        entriesUsed.clear();
        gone.clear();
    }

    /**
     * An entry of the layer was reached this way; {@code made} are the layer's own entries, which no whiteout removes.
     */
    void entryUsed(LinkUse use, LongSet made) {
        if (isWatching && !use.isEmpty()) {
            use.addTo(entriesUsed, made);
        }
    }

    /** An entry of the layer is another name of this entry of a lower layer. */
    void entryUsed(long target) {
        if (isWatching) {
            entriesUsed.add(target);
        }
    }

    /**
     * A whiteout was reached this way. In the lower layers' tree it is not reached, if a ".." of a link leaves a
     * directory that only the layer has made.
     */
    void whiteoutUsed(LinkUse use, LongSet made) throws WhiteoutOrderException {
        if (isWatching && !use.isEmpty()) {
            if (use.hasLeftOneOf(made)) {
                throw new WhiteoutOrderException();
            }
            hasFollowedLinks = true;
            checkLinks();
        }
    }

    /** A symbolic link was removed, or an entry of the layer takes its place. */
    void linkRemoved() throws WhiteoutOrderException {
        if (isWatching) {
            hasRemovedLinks = true;
            checkLinks();
        }
    }

    /**
     * Throws if a whiteout's path goes through links while links are gone. A whiteout removes nothing if the layer has
     * its own entry for a link on the way; without the removed links nobody can tell.
     */
    private void checkLinks() throws WhiteoutOrderException {
        if (hasFollowedLinks && hasRemovedLinks) {
            throw new WhiteoutOrderException();
        }
    }

    /** An entry of the layer takes the place of this one. */
    void replaced(long key) {
        hasLostWay |= entriesUsed.contains(key);
    }

    /** The layer itself has removed an entry of its own; directories that were made for it stay all the same. */
    void removedOwnEntry() {
        hasLostWay = true;
    }

    /** A whiteout removes this entry, or would if the layer had not replaced it. */
    void whitedOut(long key) throws WhiteoutOrderException {
        if (entriesUsed.contains(key)) {
            throw new WhiteoutOrderException();
        }
    }

    /** This entry, or all children of this directory, were removed, and symbolic links with them. */
    void lostLinks(long key) {
        if (isWatching) {
            gone.add(key);
        }
    }

    /**
     * Whether the paths of whiteouts may lead through something that was removed: then {@link #checkWay} has to be
     * called.
     */
    boolean hasLostLinks() {
        return !gone.isEmpty();
    }

    /** To be called before each whiteout. */
    void beginWhiteout() throws WhiteoutOrderException {
        if (hasLostWay) {
            throw new WhiteoutOrderException();
        }
    }

    /** Called for each entry on a whiteout's path. */
    void checkWay(Directory parent, byte[] name) throws WhiteoutOrderException {
        if (gone.contains(EntryKeys.key(parent, name))
                || gone.contains(EntryKeys.key(parent.device(), parent.inode()))) {
            throw new WhiteoutOrderException();
        }
    }
}
