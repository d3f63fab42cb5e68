package pve.oci.update;

import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.linux.Timespec;
import pve.oci.rootfs.ExtendedAttributes;

/** Everything that chown, chmod, setxattr and utimensat can give a directory. */
record DirectoryAttributes(int mode, int uid, int gid, long seconds, int nanos, Map<String, String> extended) {
    static DirectoryAttributes read(Fd fd, ExtendedAttributes extended) throws java.io.IOException {
        FileStatus status = new FileStatus().read(fd.number());
        return new DirectoryAttributes(
                status.mode() & 07777,
                status.uid(),
                status.gid(),
                status.modifiedSeconds(),
                status.modifiedNanos(),
                extended.read(fd));
    }

    /** Owner first, because chown(2) clears set-ID bits; the time last, because everything else sets it. */
    void apply(Fd fd, ExtendedAttributes attributes) throws java.io.IOException {
        Libc.fchown(fd.number(), uid, gid);
        Libc.fchmod(fd.number(), mode);
        if (!attributes.read(fd).equals(extended)) {
            attributes.clear(fd);
            for (Map.Entry<String, String> each : extended.entrySet()) {
                attributes.set(fd, bytes(each.getKey()), bytes(each.getValue()));
            }
        }
        applyTime(fd);
    }

    void applyTime(Fd fd) throws java.io.IOException {
        Libc.futimens(fd.number(), new Timespec().set(seconds, nanos));
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }

    Map<String, @Nullable Object> toJson() {
        Map<String, @Nullable Object> json = new LinkedHashMap<>();
        json.put("mode", mode);
        json.put("uid", uid);
        json.put("gid", gid);
        json.put("seconds", seconds);
        json.put("nanos", nanos);
        json.put("extended", extended);
        return json;
    }

    /** @throws IllegalArgumentException the journal was changed by somebody else */
    static DirectoryAttributes ofJson(@Nullable Object json) {
        if (!(json instanceof Map<?, ?> map) || !(map.get("extended") instanceof Map<?, ?> extended)) {
            throw new IllegalArgumentException("attributes of a directory");
        }
        Map<String, String> attributes = new LinkedHashMap<>();
        extended.forEach((name, value) -> attributes.put(String.valueOf(name), String.valueOf(value)));
        for (String name : List.of("mode", "uid", "gid", "seconds", "nanos")) {
            if (!(map.get(name) instanceof Number)) {
                throw new IllegalArgumentException(name);
            }
        }
        return new DirectoryAttributes(
                (int) number(map, "mode") & 07777,
                (int) number(map, "uid"),
                (int) number(map, "gid"),
                number(map, "seconds"),
                (int) number(map, "nanos"),
                attributes);
    }

    private static long number(Map<?, ?> map, String name) {
        return map.get(name) instanceof Number number ? number.longValue() : 0;
    }
}
