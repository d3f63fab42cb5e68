package pve.oci.rootfs;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Open directories by the path that led to them; the least recently used is closed first. Whoever removes a directory
 * or a symbolic link must tell the cache, because paths may lead elsewhere afterwards: a directory that is looked up
 * under a path of another one would receive the other's entries. What is forgotten is closed only at the next look-up,
 * because the caller may still hold the directory it works in.
 */
final class DirectoryCache implements AutoCloseable {
    private final Map<PathKey, Directory> directories;
    private final PathKey probe = new PathKey();
    private byte[] lastPath = new byte[0];
    private @Nullable Directory last;
    private boolean forgetsLinks;
    private final List<byte[]> forgottenTrees = new ArrayList<>();
    private @Nullable Directory forgottenAliases;

    DirectoryCache() {
        this(512);
    }

    DirectoryCache(int capacity) {
        directories = new LinkedHashMap<>(capacity * 2, 0.75f, true) {
            private static final long serialVersionUID = 1;

            @Override
            protected boolean removeEldestEntry(Map.Entry<PathKey, Directory> eldest) {
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
        if (forgetsLinks || forgottenAliases != null) {
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
        PathKey key = new PathKey().set(Arrays.copyOf(path, length), length);
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

    /** To be called when a symbolic link was removed: paths through links may lead elsewhere now. */
    void forgetLinks() {
        forgetsLinks = true;
    }

    /** To be called when a directory, or entries below it, were removed. The path is the one without symbolic links. */
    void forgetTree(byte[] path) {
        forgetsLinks = true;
        forgottenTrees.add(path);
    }

    /** To be called when attributes of the directory have changed: forgets it under every path. */
    void forgetAliases(Directory directory) {
        if (forgottenAliases != null) {
            forget();
        }
        forgottenAliases = directory;
    }

    private void forget() {
        Directory changed = forgottenAliases;
        Iterator<Directory> entries = directories.values().iterator();
        while (entries.hasNext()) {
            Directory directory = entries.next();
            boolean isGone = (forgetsLinks && directory.isViaLink())
                    || (changed != null && directory != changed && directory.isSame(changed))
                    || forgottenTrees.stream().anyMatch(tree -> isWithin(directory.path(), tree));
            if (isGone) {
                close(directory);
                entries.remove();
            }
        }
        forgetsLinks = false;
        forgottenTrees.clear();
        forgottenAliases = null;
    }

    /** The path without components is the root, and everything is within it. */
    private static boolean isWithin(byte[] path, byte[] tree) {
        return tree.length == 0
                || (path.length >= tree.length
                        && Arrays.equals(path, 0, tree.length, tree, 0, tree.length)
                        && (path.length == tree.length || path[tree.length] == '/'));
    }

    private void close(Directory directory) {
        if (directory == last) {
            last = null;
        }
        directory.close();
    }

    /** Closes all directories. The cache can still be used. */
    @Override
    public void close() {
        directories.values().forEach(Directory::close);
        directories.clear();
        last = null;
    }

    /** A key that can be pointed at other bytes, so that looking up makes no garbage. */
    private static final class PathKey {
        private byte[] bytes = new byte[0];
        private int length;
        private int hash;

        PathKey set(byte[] path, int pathLength) {
            bytes = path;
            length = pathLength;
            int sum = 1;
            for (int i = 0; i < pathLength; i++) {
                sum = 31 * sum + path[i];
            }
            hash = sum;
            return this;
        }

        @Override
        public boolean equals(@Nullable Object other) {
            return other instanceof PathKey path && Arrays.equals(bytes, 0, length, path.bytes, 0, path.length);
        }

        @Override
        public int hashCode() {
            return hash;
        }
    }
}
