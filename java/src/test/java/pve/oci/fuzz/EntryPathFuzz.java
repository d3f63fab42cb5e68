package pve.oci.fuzz;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.util.ArrayDeque;
import java.util.Deque;
import pve.oci.rootfs.EntryPath;

/** Names of entries: the path must be clean, below the root, and the same as a simpler, slower implementation gives. */
public final class EntryPathFuzz {
    private EntryPathFuzz() {}

    /** One input. */
    public static void fuzzerTestOneInput(byte[] input) {
        EntryPath path = new EntryPath();
        EntryPath.Problem problem = path.set(input, input.length);
        Deque<String> components = new ArrayDeque<>();
        EntryPath.Problem expected =
                input.length >= EntryPath.PATH_MAX ? EntryPath.Problem.TOO_LONG : walk(input, components);
        if (problem != expected) {
            throw new AssertionError(problem + ", not " + expected);
        }
        if (problem != EntryPath.Problem.NONE) {
            return;
        }
        String whole = new String(path.bytes(), 0, path.length(), ISO_8859_1);
        String last = components.isEmpty() ? "" : components.getLast();
        boolean isRight = whole.equals(String.join("/", components))
                && new String(path.name(), ISO_8859_1).equals(last)
                && path.isRoot() == components.isEmpty()
                && path.parentLength() == Math.max(0, whole.length() - last.length() - 1)
                && path.toString().chars().noneMatch(c -> c < 0x20 || c == 0x7f);
        if (!isRight) {
            throw new AssertionError("'" + whole + "', not " + components);
        }
    }

    private static EntryPath.Problem walk(byte[] input, Deque<String> components) {
        for (String component : new String(input, ISO_8859_1).split("/", -1)) {
            if (component.equals("..") && components.pollLast() == null) {
                return EntryPath.Problem.LEAVES_ROOT;
            }
            if (!component.isEmpty() && !component.equals(".") && !component.equals("..")) {
                components.add(component);
            }
        }
        return EntryPath.Problem.NONE;
    }
}
