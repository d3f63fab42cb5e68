package pve.oci.conformance;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The rules of applying layers in their plainest form, on a tree in memory. A layer's whiteouts come first, and their
 * directories are looked up in the layers below. Then come its entries, in their order. Nothing here is shared with the
 * engine.
 */
final class ModelTree {
    private static final int MAXIMUM_LINKS = 40;

    /** A file, directory, link, or a device that is left out; names lead to it. */
    static final class Node {
        final String type;
        final Map<String, Node> children = new TreeMap<>();

        @Nullable
        Node parent;

        RandomLayers.@Nullable RandomEntry entry;
        /** Of a directory: whether its time is that of its entry. */
        boolean hasTime;

        Node(String type, RandomLayers.@Nullable RandomEntry entry) {
            this.type = type;
            this.entry = entry;
        }

        boolean isDirectory() {
            return type.equals("dir");
        }

        /** Only hard links to it see it. */
        boolean isLeftOut() {
            return type.equals("char");
        }
    }

    /** A name in a directory; one link may have several. */
    private record ModelPlace(Node directory, String name) {}

    /** The layer asks for something that is refused. */
    static final class Refused extends Exception {
        private static final long serialVersionUID = 1;

        Refused(String reason) {
            super(reason);
        }
    }

    /** The rules do not cover this: a device that is left out, and whose directory does not exist. */
    static final class UnspecifiedException extends RuntimeException {
        private static final long serialVersionUID = 1;
    }

    private final Node root = new Node("dir", null);
    private Set<Node> timed = new HashSet<>();
    private final Set<ModelPlace> replaced = new HashSet<>();
    private boolean isViaReplaced;
    private int links;
    private RandomLayers.@Nullable RandomEntry current;

    /** What the message about a refusal must say: the entry, and what it is a link to. */
    String namesOfRefused() {
        RandomLayers.RandomEntry entry = Objects.requireNonNull(current);
        return "entry " + entry.name() + ": " + (entry.type().equals("link") ? "hard link to " + entry.target() : "");
    }

    void apply(List<RandomLayers.RandomEntry> layer) throws Refused {
        timed = Collections.newSetFromMap(new IdentityHashMap<>());
        findReplacedLinks(layer);
        // all are looked up before the first takes effect, which may remove a link that another leads through
        IdentityHashMap<RandomLayers.RandomEntry, Node> directories = new IdentityHashMap<>();
        for (RandomLayers.RandomEntry entry : layer) {
            Node directory = entry.isMarker() ? findDirectory(parentOf(entry.name())) : null;
            if (directory != null) {
                directories.put(entry, directory);
            }
        }
        directories.forEach((entry, directory) -> remove(nameOf(entry.name()), directory));
        for (RandomLayers.RandomEntry entry : layer) {
            if (!entry.isMarker()) {
                current = entry;
                create(entry);
            }
        }
        timed.forEach(x -> x.hasTime = true);
    }

    private static String parentOf(String path) {
        return path.substring(0, Math.max(0, path.lastIndexOf('/')));
    }

    private static String nameOf(String path) {
        return path.substring(path.lastIndexOf('/') + 1);
    }

    /** Links of the layers below in whose place the layer has an entry of its own, by whatever path. */
    private void findReplacedLinks(List<RandomLayers.RandomEntry> layer) {
        replaced.clear();
        Set<ModelPlace> found = new HashSet<>();
        for (RandomLayers.RandomEntry entry : layer) {
            if (!entry.isMarker()) {
                Node parent = findDirectory(parentOf(entry.name()));
                Node node = parent == null ? null : parent.children.get(nameOf(entry.name()));
                if (parent != null && node != null && node.type.equals("symlink")) {
                    found.add(new ModelPlace(parent, nameOf(entry.name())));
                }
            }
        }
        replaced.addAll(found);
    }

    /** The directory that a marker stands in, in the layers below; null when they have none. */
    private @Nullable Node findDirectory(String path) {
        isViaReplaced = false;
        Node directory = findIfAny(path);
        return directory == null || !directory.isDirectory() || isViaReplaced ? null : directory;
    }

    private void remove(String marker, Node parent) {
        if (marker.equals(".wh..wh..opq")) {
            List.copyOf(parent.children.keySet()).forEach(name -> remove(parent, name));
        } else {
            remove(parent, marker.substring(4));
        }
    }

    private void remove(Node parent, String name) {
        Node removed = parent.children.remove(name);
        if (removed != null && !removed.isLeftOut()) {
            touch(parent);
        }
    }

    private void touch(Node directory) {
        if (!timed.contains(directory)) {
            directory.hasTime = false;
        }
    }

    private void create(RandomLayers.RandomEntry entry) throws Refused {
        if (entry.name().equals(".")) {
            root.entry = entry;
            timed.add(root);
            return;
        }
        if (entry.type().equals("link")) {
            link(entry);
            return;
        }
        String name = nameOf(entry.name());
        if (entry.type().equals("char")) {
            leaveOut(entry.name(), new Node("char", entry));
            return;
        }
        Node parent = makeParent(entry.name());
        Node before = parent.children.get(name);
        if (entry.type().equals("dir") && before != null && before.isDirectory()) {
            before.entry = entry;
            timed.add(before);
            return;
        }
        Node made = new Node(entry.type(), entry);
        put(parent, name, made);
        if (made.isDirectory()) {
            timed.add(made);
        }
    }

    private @Nullable Node findIfAny(String path) {
        try {
            return find(path);
        } catch (Refused e) {
            return null;
        }
    }

    private void leaveOut(String path, Node device) throws Refused {
        Node parent = findIfAny(parentOf(path));
        if (parent == null || !parent.isDirectory()) {
            throw new UnspecifiedException();
        }
        remove(parent, nameOf(path));
        parent.children.put(nameOf(path), device);
    }

    private void put(Node parent, String name, Node node) {
        if (node.isDirectory()) {
            node.parent = parent;
        }
        parent.children.put(name, node);
        touch(parent);
    }

    private void link(RandomLayers.RandomEntry entry) throws Refused {
        String name = nameOf(entry.name());
        Node targetParent = find(parentOf(entry.target()));
        Node target = targetParent == null ? null : targetParent.children.get(nameOf(entry.target()));
        if (targetParent == null || target == null || target.isDirectory()) {
            throw new Refused("target " + (target == null ? "missing" : "is a directory"));
        }
        if (target.isLeftOut()) {
            Node parent = findIfAny(parentOf(entry.name()));
            if (parent == targetParent && name.equals(nameOf(entry.target()))) {
                throw new Refused("a link to itself");
            }
            leaveOut(entry.name(), target);
            return;
        }
        Node parent = makeParent(entry.name());
        if (parent == targetParent && name.equals(nameOf(entry.target()))) {
            throw new Refused("a link to itself");
        }
        if (parent.children.get(name) == target) {
            return;
        }
        parent.children.remove(name);
        // what stood there may have held the target
        boolean isThere = targetParent.children.get(nameOf(entry.target())) == target;
        if (!isThere || !isReachable(root, targetParent)) {
            throw new Refused("target is gone");
        }
        put(parent, name, target);
    }

    private static boolean isReachable(Node directory, Node node) {
        return directory == node
                || directory.children.values().stream().anyMatch(x -> x.isDirectory() && isReachable(x, node));
    }

    /** Follows links in the root; null when something is missing. */
    private @Nullable Node find(String path) throws Refused {
        links = 0;
        return walk(root, path, false, false);
    }

    private Node makeParent(String path) throws Refused {
        links = 0;
        Node parent = walk(root, parentOf(path), true, true);
        if (parent == null) {
            throw new Refused("cannot be made");
        }
        return parent;
    }

    /** @param replaces whether anything that is no directory is replaced, unless the target of a link leads there */
    private @Nullable Node walk(Node start, String path, boolean makes, boolean replaces) throws Refused {
        Node at = path.startsWith("/") ? root : start;
        for (String name : path.split("/", -1)) {
            if (name.isEmpty() || name.equals(".")) {
                continue;
            }
            if (name.equals("..")) {
                at = at.parent == null ? root : at.parent;
                continue;
            }
            Node next = at.children.get(name);
            if (next == null || next.isLeftOut()) {
                if (!makes) {
                    return null;
                }
                next = new Node("dir", null);
                put(at, name, next);
            } else if (next.type.equals("symlink") && next.entry != null) {
                if (++links > MAXIMUM_LINKS) {
                    throw new Refused("too many links");
                }
                isViaReplaced |= replaced.contains(new ModelPlace(at, name));
                next = walk(at, next.entry.target(), makes, false);
                if (next == null) {
                    return null;
                }
            } else if (!next.isDirectory() && replaces) {
                next = new Node("dir", null);
                put(at, name, next);
            }
            if (!next.isDirectory()) {
                if (makes) {
                    throw new Refused("not a directory");
                }
                return null;
            }
            at = next;
        }
        return at;
    }

    /** The tree as {@link ExpectedTree} compares it. */
    Map<String, @Nullable Object> toCase() {
        Map<String, @Nullable Object> tree = new TreeMap<>();
        IdentityHashMap<Node, List<String>> names = new IdentityHashMap<>();
        list(root, "", names);
        names.forEach((node, paths) -> {
            for (String path : paths) {
                tree.put(path, line(node, paths));
            }
        });
        if (root.entry != null) {
            tree.put(".", line(root, List.of(".")));
        }
        return tree;
    }

    private static void list(Node directory, String prefix, IdentityHashMap<Node, List<String>> names) {
        directory.children.forEach((name, node) -> {
            if (node.isLeftOut()) {
                return;
            }
            names.computeIfAbsent(node, x -> new ArrayList<>()).add(prefix + name);
            if (node.isDirectory()) {
                list(node, prefix + name + "/", names);
            }
        });
    }

    private static String line(Node node, List<String> paths) {
        RandomLayers.RandomEntry entry = node.entry;
        if (entry == null) {
            return "dir 0755 0:0";
        }
        StringBuilder line = new StringBuilder(node.type);
        line.append(node.type.equals("symlink") ? "" : " %04o".formatted(entry.mode()));
        line.append(" ").append(entry.uid()).append(':').append(entry.gid());
        if (!node.isDirectory() || node.hasTime) {
            line.append(" @").append(entry.mtime());
        }
        if (!node.isDirectory()) {
            line.append(" links:").append(paths.size()).append(" same:").append(paths.get(0));
        }
        new LinkedHashMap<>(entry.xattrs())
                .forEach((name, value) -> line.append(" [")
                        .append(name)
                        .append(name.startsWith("user.") ? "=" : "=0x")
                        .append(value)
                        .append(']'));
        if (node.type.equals("file")) {
            line.append(" =").append(entry.target());
        } else if (node.type.equals("symlink")) {
            line.append(" ->").append(entry.target());
        }
        return line.toString();
    }
}
