package pve.oci.service;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;

/**
 * Where a directory lies in its file system, whatever mount it was reached by. Bind mounts make this necessary: at the
 * root of one, ".." does not lead to the directory above.
 *
 * @param device as mountinfo has it
 * @param path from the file system's root on, each byte as the character of that number
 */
record MountPlace(String device, String path) {
    private static final Pattern ESCAPE = Pattern.compile("\\\\([0-7]{3})");

    /** Null if it cannot be found out, because the directory or its mount can no longer be reached. */
    static @Nullable MountPlace of(Fd directory) throws ErrnoException {
        String mount = new FileStatus().read(directory.number()).mountId() + " ";
        String name = new String(OpenFiles.nameOf(directory), StandardCharsets.ISO_8859_1);
        try {
            for (String line : Files.readAllLines(Path.of("/proc/self/mountinfo"), StandardCharsets.ISO_8859_1)) {
                if (line.startsWith(mount)) {
                    // mount, parent, device, root in the file system, mount point: proc_pid_mountinfo(5)
                    String[] fields = line.split(" ", 6);
                    return of(fields[2], withoutEnd(fields[3]), withoutEnd(fields[4]), name);
                }
            }
        } catch (IOException e) {
            return null;
        }
        return null;
    }

    private static @Nullable MountPlace of(String device, String root, String mountPoint, String name) {
        String below = name.equals("/") ? "" : name;
        boolean isThere = below.equals(mountPoint) || below.startsWith(mountPoint + "/");
        return isThere ? new MountPlace(device, root + below.substring(mountPoint.length())) : null;
    }

    /** Without a slash at the end, so that "/" is a prefix like others. */
    private static String withoutEnd(String escaped) {
        Matcher matcher = ESCAPE.matcher(escaped.equals("/") ? "" : escaped);
        return matcher.replaceAll(
                found -> Matcher.quoteReplacement(String.valueOf((char) Integer.parseInt(found.group(1), 8))));
    }

    /** Whether the other one is below this one. */
    boolean holds(MountPlace other) {
        return device.equals(other.device) && other.path.startsWith(path + "/");
    }
}
