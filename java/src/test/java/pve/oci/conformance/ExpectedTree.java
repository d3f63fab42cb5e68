package pve.oci.conformance;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.Libc;

/**
 * The tree that a case is to give: each path with a line such as {@code file 0644 0:0 @1700000000.5 =content}. What a
 * line does not say is not compared. Paths and attributes are the exceptions: all of them have to be named.
 */
final class ExpectedTree {
    private static final Map<String, Integer> TYPES = Map.of(
            "file",
            Libc.S_IFREG,
            "dir",
            Libc.S_IFDIR,
            "symlink",
            Libc.S_IFLNK,
            "fifo",
            Libc.S_IFIFO,
            "char",
            Libc.S_IFCHR,
            "block",
            Libc.S_IFBLK);

    private final Map<String, TreeScanner.ScannedEntry> actual;
    private final List<String> differences = new ArrayList<>();

    private ExpectedTree(Map<String, TreeScanner.ScannedEntry> actual) {
        this.actual = actual;
    }

    /** What differs, a line each. */
    static List<String> compare(
            Map<String, @Nullable Object> expected, Map<String, TreeScanner.ScannedEntry> actual, boolean isLatin1) {
        Map<String, String> lines = new TreeMap<>();
        expected.forEach(
                (path, line) -> lines.put(isLatin1 ? path : bytes(path, true), bytes(String.valueOf(line), !isLatin1)));
        ExpectedTree tree = new ExpectedTree(actual);
        Set<String> paths = new TreeSet<>(actual.keySet());
        paths.addAll(lines.keySet());
        for (String path : paths) {
            String line = lines.get(path);
            TreeScanner.ScannedEntry entry = actual.get(path);
            if (line == null && entry != null && !path.equals(".")) {
                tree.differences.add("unexpected " + path);
            } else if (line != null && entry == null) {
                tree.differences.add("missing " + path);
            } else if (line != null && entry != null) {
                tree.compare(path, line, entry);
            }
        }
        return tree.differences;
    }

    /** Text as its UTF-8 bytes, one char each, as the scanner has it. */
    private static String bytes(String text, boolean isUtf8) {
        return isUtf8 ? new String(text.getBytes(UTF_8), ISO_8859_1) : text;
    }

    private void compare(String path, String line, TreeScanner.ScannedEntry entry) {
        String rest = line;
        Set<String> named = new TreeSet<>();
        while (!rest.isEmpty()) {
            // content and target take the rest of the line
            int end = rest.startsWith("=") || rest.startsWith("->") || !rest.contains(" ")
                    ? rest.length()
                    : rest.indexOf(' ');
            word(path, rest.substring(0, end), entry, named);
            rest = end == rest.length() ? "" : rest.substring(end + 1);
        }
        entry.attributes().keySet().forEach(name -> check(path, named.contains(name), "has attribute " + name));
    }

    private void word(String path, String word, TreeScanner.ScannedEntry entry, Set<String> attributes) {
        Integer type = TYPES.get(word);
        if (type != null) {
            check(path, entry.type() == type, "type is %o, not %s".formatted(entry.type(), word));
        } else if (word.startsWith("=")) {
            String content = entry.content();
            check(path, content.equals(word.substring(1)), "content is '" + content + "', not '" + word + "'");
        } else if (word.startsWith("->")) {
            check(path, entry.content().equals(word.substring(2)), "target is '" + entry.content() + "'");
        } else if (word.startsWith("@")) {
            String time = entry.seconds() + (entry.nanos() == 0 ? "" : "." + entry.nanos());
            check(path, time.equals(word.substring(1)), "time is " + time + ", not " + word);
        } else if (word.startsWith("size:")) {
            check(path, entry.size() == Long.parseLong(word.substring(5)), "size is " + entry.size());
        } else if (word.startsWith("links:")) {
            check(path, entry.links() == Long.parseLong(word.substring(6)), "link count is " + entry.links());
        } else if (word.startsWith("same:")) {
            TreeScanner.ScannedEntry other = actual.get(word.substring(5));
            check(path, other != null && other.inode() == entry.inode(), "is not the file " + word.substring(5));
        } else if (word.startsWith("[")) {
            attribute(path, word.substring(1, word.length() - 1), entry, attributes);
        } else if (word.matches("[0-7]{4}")) {
            check(
                    path,
                    entry.mode() == Integer.parseInt(word, 8),
                    "mode is %04o, not %s".formatted(entry.mode(), word));
        } else if (word.matches("\\d+:\\d+")) {
            String owner = Integer.toUnsignedLong(entry.uid()) + ":" + Integer.toUnsignedLong(entry.gid());
            check(path, owner.equals(word), "owner is " + owner + ", not " + word);
        } else {
            throw new IllegalArgumentException("in the expected tree: " + word);
        }
    }

    /** {@code [user.name=text]} or {@code [security.capability=0x0100...]}. */
    private void attribute(String path, String word, TreeScanner.ScannedEntry entry, Set<String> attributes) {
        int equals = word.indexOf('=');
        String name = word.substring(0, equals);
        String value = word.substring(equals + 1);
        attributes.add(name);
        String actualValue = entry.attributes().get(name);
        String shown = actualValue == null
                ? "missing"
                : value.startsWith("0x")
                        ? "0x" + HexFormat.of().formatHex(actualValue.getBytes(ISO_8859_1))
                        : actualValue;
        check(path, shown.equals(value), "attribute " + name + " is " + shown + ", not " + value);
    }

    private void check(String path, boolean holds, String difference) {
        if (!holds) {
            differences.add(path + ": " + difference);
        }
    }
}
