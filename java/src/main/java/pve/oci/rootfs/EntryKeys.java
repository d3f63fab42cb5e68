package pve.oci.rootfs;

import java.util.SplittableRandom;

/**
 * Hashes of directory entries: the directory's identity and the name in it. Two names of one place through symbolic
 * links have one key. Seeded anew for each process, so that an image cannot be made to collide; what a collision could do
 * is keep one entry of a lower layer that should have been removed.
 */
final class EntryKeys {
    private static final long SEED = new SplittableRandom().nextLong();
    private static final long PRIME = 0x9E3779B97F4A7C15L;

    private EntryKeys() {}

    static long key(Directory directory, byte[] name, int offset, int length) {
        return key(directory.device(), directory.inode(), name, offset, length);
    }

    static long key(long device, long inode, byte[] name, int offset, int length) {
        long hash = mix(SEED ^ mix(device) ^ mix(inode * PRIME + 1));
        int end = offset + length;
        for (int i = offset; i < end; i++) {
            hash = (hash ^ (name[i] & 0xff)) * 0x100000001B3L;
            hash ^= hash >>> 29;
        }
        return mix(hash + length);
    }

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
