package pve.oci.rootfs;

import java.util.Arrays;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Open directories by the path that led to them, the least recently used closed first. Whoever removes a directory or a
 * symbolic link tells it, because then paths may lead elsewhere. What is forgotten is closed at the next look-up only:
 * until then the caller may hold the directory it works in.
 */
final class DirectoryCache implements AutoCloseable {
    private final Map<Path, Directory> directories;
    private final Path probe = new Path();
    private byte[] lastPath = new byte[0];
    private @Nullable Directory last;
    private boolean forgetsLinks;
    private boolean forgetsAll;
    private byte @Nullable [] forgottenTree;

    DirectoryCache(int capacity) {
        directories = new LinkedHashMap<>(capacity * 2, 0.75f, true) {
            private static final long serialVersionUID = 1;

            @Override
            protected boolean removeEldestEntry(Map.Entry<Path, Directory> eldest) {
                if (size() <= capacity) {
                    return false;
                }
                close(eldest.getValue());
                return true;
            }
        };
    }

    @Nullable
    Directory get(byte[] path, int length) {
        if (forgetsLinks) {
            forget();
        }
        // entries mostly come directory by directory
        if (last != null && Arrays.equals(path, 0, length, lastPath, 0, lastPath.length)) {
            return last;
        }
        Directory found = directories.get(probe.set(path, length));
        if (found != null) {
            remember(path, length, found);
        }
        return found;
    }

    void put(byte[] path, int length, Directory directory) {
        Path key = new Path().set(Arrays.copyOf(path, length), length);
        Directory old = directories.put(key, directory);
        if (old != null) {
            close(old);
        }
        remember(path, length, directory);
    }

    private void remember(byte[] path, int length, Directory directory) {
        if (lastPath.length != length) {
            lastPath = new byte[length];
        }
        System.arraycopy(path, 0, lastPath, 0, length);
        last = directory;
    }

    /** A symbolic link was removed: what was reached through any may be elsewhere now. */
    void forgetLinks() {
        forgetsLinks = true;
    }

    /**
     * A directory was removed, by this path and any other that leads there.
     *
     * @param isViaLink the path itself went through a link, so that every other path may be concerned
     */
    void forgetTree(byte[] path, int length, boolean isViaLink) {
        forgetsLinks = true;
        if (isViaLink || forgottenTree != null) {
            forgetsAll = true;
        } else {
            forgottenTree = Arrays.copyOf(path, length);
        }
    }

    private void forget() {
        byte[] tree = forgottenTree;
        Iterator<Map.Entry<Path, Directory>> entries = directories.entrySet().iterator();
        while (entries.hasNext()) {
            Map.Entry<Path, Directory> entry = entries.next();
            boolean isGone = forgetsAll
                    || entry.getValue().isViaLink()
                    || (tree != null && entry.getKey().isWithin(tree));
            if (isGone) {
                close(entry.getValue());
                entries.remove();
            }
        }
        forgetsLinks = false;
        forgetsAll = false;
        forgottenTree = null;
    }

    private void close(Directory directory) {
        if (directory.equals(last)) {
            last = null;
        }
        directory.close();
    }

    /** Closes all; the cache can be used on. */
    @Override
    public void close() {
        directories.values().forEach(Directory::close);
        directories.clear();
        last = null;
    }

    /** A key that can be pointed at other bytes, so that looking up makes no garbage. */
    private static final class Path {
        private byte[] bytes = new byte[0];
        private int length;
        private int hash;

        Path set(byte[] path, int pathLength) {
            bytes = path;
            length = pathLength;
            int sum = 1;
            for (int i = 0; i < pathLength; i++) {
                sum = 31 * sum + path[i];
            }
            hash = sum;
            return this;
        }

        /** The path without components is the root, and everything within it. */
        boolean isWithin(byte[] tree) {
            return tree.length == 0
                    || (length >= tree.length
                            && Arrays.equals(bytes, 0, tree.length, tree, 0, tree.length)
                            && (length == tree.length || bytes[tree.length] == '/'));
        }

        @Override
        public boolean equals(@Nullable Object other) {
            return other instanceof Path path && Arrays.equals(bytes, 0, length, path.bytes, 0, path.length);
        }

        @Override
        public int hashCode() {
            return hash;
        }
    }
}
