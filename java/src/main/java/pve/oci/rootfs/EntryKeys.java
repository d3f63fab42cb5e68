package pve.oci.rootfs;

import java.util.SplittableRandom;

/**
 * Hashes of directory entries: the directory's identity and the name in it. Two paths that lead to one entry, by
 * symbolic links, have one key. The hash is seeded anew in each process, so an image cannot be made to collide. What a
 * collision could do is keep one entry of a lower layer that should have been removed.
 */
final class EntryKeys {
    private static final long SEED = new SplittableRandom().nextLong();
    private static final long PRIME = 0x9E3779B97F4A7C15L;

    private EntryKeys() {}

    /** The entry that the path's last component is, in its directory. */
    static long key(Directory parent, EntryPath path) {
        return key(parent.device(), parent.inode(), path.bytes(), path.nameStart(), path.nameLength());
    }

    static long key(Directory parent, byte[] name) {
        return key(parent.device(), parent.inode(), name);
    }

    static long key(long device, long inode, byte[] name) {
        return key(device, inode, name, 0, name.length);
    }

    private static long key(long device, long inode, byte[] name, int offset, int length) {
        long hash = mix(SEED ^ mix(device) ^ mix(inode * PRIME + 1));
        int end = offset + length;
        for (int i = offset; i < end; i++) {
            hash = (hash ^ (name[i] & 0xff)) * 0x100000001B3L;
            hash ^= hash >>> 29;
        }
        return mix(hash + length);
    }

    /** The directory itself, whatever its name. */
    static long key(long device, long inode) {
        return mix(SEED ^ mix(device + PRIME) ^ mix(inode * PRIME));
    }

    /** The finalizer of SplitMix64. */
    private static long mix(long value) {
        long z = (value ^ (value >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }
}
