package pve.oci.layer;

import org.jspecify.annotations.Nullable;
import pve.oci.tar.TarEntry;

/** Checks that the container's ID map holds an entry's owner. */
final class EntryOwner {
    private final MappedIds uids;
    private final MappedIds gids;

    EntryOwner(MappedIds uids, MappedIds gids) {
        this.uids = uids;
        this.gids = gids;
    }

    /** What is wrong with the owner, and what to do about it; null when it can be set. */
    @Nullable
    String refusal(TarEntry entry) {
        if (!uids.contains(entry.uid())) {
            return refusal("uid", entry.uid(), uids);
        }
        return gids.contains(entry.gid()) ? null : refusal("gid", entry.gid(), gids);
    }

    private static String refusal(String what, long id, MappedIds map) {
        return what + " " + id + " is not in the container's id map, which has " + map
                + ": give the container a map that holds it, or rebuild the image with smaller ids";
    }
}
