package pve.oci.mtree;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Collection;
import java.util.Iterator;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A set of paths in a root file system. They have no leading slash, and each character is one byte (ISO 8859-1). A path
 * stands for itself and for all that lies below it.
 */
public final class PathSet {
    private static final Pattern ESCAPE = Pattern.compile("\\\\x([0-9a-f]{2})");

    private final TreeSet<String> paths = new TreeSet<>();

    /** A path below another path of the set is not kept: the outer one covers it. */
    public PathSet(Collection<String> paths) {
        for (String path : paths) {
            this.paths.add(path + "/");
        }
        String outer = null;
        for (Iterator<String> each = this.paths.iterator(); each.hasNext(); ) {
            String path = each.next();
            if (outer != null && path.startsWith(outer)) {
                each.remove();
            } else {
                outer = path;
            }
        }
    }

    /** Whether the path is in the set, or lies below one that is. */
    public boolean covers(String path) {
        String floor = paths.floor(path + "/");
        return floor != null && (path + "/").startsWith(floor);
    }

    /** Whether a path of the set lies below this one. */
    public boolean isAbove(String path) {
        String next = paths.higher(path + "/");
        return next != null && next.startsWith(path + "/");
    }

    /** Whether the path itself is in the set. */
    public boolean contains(String path) {
        return paths.contains(path + "/");
    }

    /** The paths in order, without those that another one covers. */
    public Iterable<String> paths() {
        return paths.stream().map(x -> x.substring(0, x.length() - 1)).toList();
    }

    /** Reads a path in the form of the interface: characters, and \xNN for bytes that are no UTF-8 or not shown. */
    public static String unescaped(String path) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        Matcher matcher = ESCAPE.matcher(path);
        int end = 0;
        while (matcher.find()) {
            bytes.writeBytes(path.substring(end, matcher.start()).getBytes(StandardCharsets.UTF_8));
            bytes.write(Integer.parseInt(matcher.group(1), 16));
            end = matcher.end();
        }
        bytes.writeBytes(path.substring(end).getBytes(StandardCharsets.UTF_8));
        return text(bytes.toByteArray());
    }

    /** Turns bytes into a path in the form of this class. */
    public static String text(byte[] path) {
        return new String(path, StandardCharsets.ISO_8859_1);
    }

    /** Turns such a path back into bytes. */
    public static byte[] bytes(String path) {
        return path.getBytes(StandardCharsets.ISO_8859_1);
    }
}
