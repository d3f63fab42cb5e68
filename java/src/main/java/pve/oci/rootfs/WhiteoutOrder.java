package pve.oci.rootfs;

/**
 * Notices when the result of a layer would depend on the place of a whiteout in it, while entries and whiteouts are
 * applied as they come. Correct is what comes out when all whiteouts find the tree of the lower layers, and the entries
 * are made after them. What differs from that has to do with symbolic links, because only they let a path lead out of a
 * directory that a whiteout or an entry has taken away.
 */
final class WhiteoutOrder {
    /** Links and directories of lower layers that led the layer's entries to their places, and targets of hard links. */
    private final LongSet entriesUsed = new LongSet();

    /** The same for the layer's whiteouts. */
    private final LongSet whiteoutsUsed = new LongSet();

    /** Entries that are gone, and directories whose children are; symbolic links were among what they held. */
    private final LongSet gone = new LongSet();

    private boolean isWatching;

    /** A path of the layer's entries would lead elsewhere by now. */
    private boolean hasLostWay;

    void begin(boolean watches) {
        isWatching = watches;
        hasLostWay = false;
        entriesUsed.clear();
        whiteoutsUsed.clear();
        gone.clear();
    }

    /** An entry of the layer was reached this way; {@code made} are the layer's own entries, which no whiteout removes. */
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

    void whiteoutUsed(LinkUse use, LongSet made) {
        if (isWatching && !use.isEmpty()) {
            use.addTo(whiteoutsUsed, made);
        }
    }

    /** An entry of the layer takes the place of this one. */
    void replaced(long key) throws WhiteoutOrderException {
        if (whiteoutsUsed.contains(key)) {
            // that whiteout would have removed nothing: the layer has an entry of its own there
            throw new WhiteoutOrderException();
        }
        hasLostWay |= entriesUsed.contains(key);
    }

    /** A whiteout removes this entry, or would if the layer had not replaced it. */
    void whitedOut(long key) throws WhiteoutOrderException {
        if (entriesUsed.contains(key)) {
            throw new WhiteoutOrderException();
        }
    }

    /** This entry, or the children of this directory, went, and symbolic links with them. */
    void lostLinks(long key) {
        if (isWatching) {
            gone.add(key);
        }
    }

    /** Paths of whiteouts may have led through what is gone: {@link #checkWay} has to be asked. */
    boolean hasLostLinks() {
        return !gone.isEmpty();
    }

    /** A whiteout comes. */
    void beginWhiteout() throws WhiteoutOrderException {
        if (hasLostWay) {
            throw new WhiteoutOrderException();
        }
    }

    /** A whiteout's path passes an entry of a directory. */
    void checkWay(Directory parent, byte[] name) throws WhiteoutOrderException {
        if (gone.contains(EntryKeys.key(parent, name))
                || gone.contains(EntryKeys.key(parent.device(), parent.inode()))) {
            throw new WhiteoutOrderException();
        }
    }
}
