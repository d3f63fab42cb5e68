package pve.oci.update;

import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.linux.Timespec;
import pve.oci.rootfs.ExtendedAttributes;

/** Everything that chown, chmod, setxattr and utimensat can give a directory. */
record DirectoryAttributes(int mode, int uid, int gid, long seconds, int nanos, Map<String, String> extended) {
    private static final long MAXIMUM_ID = 0xFFFF_FFFEL;

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
        json.put("uid", Integer.toUnsignedLong(uid));
        json.put("gid", Integer.toUnsignedLong(gid));
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
        extended.forEach((name, value) -> {
            if (!(name instanceof String key) || !(value instanceof String content) || !isAttribute(key, content)) {
                throw new IllegalArgumentException("extended attribute");
            }
            attributes.put(key, content);
        });
        return new DirectoryAttributes(
                (int) number(map, "mode", 0, 07777),
                // -1 would mean: leave it
                (int) number(map, "uid", 0, MAXIMUM_ID),
                (int) number(map, "gid", 0, MAXIMUM_ID),
                number(map, "seconds", Long.MIN_VALUE, Long.MAX_VALUE),
                (int) number(map, "nanos", 0, 999_999_999),
                attributes);
    }

    /** Names and values as xattr(7) allows them. */
    private static boolean isAttribute(String name, String value) {
        return !name.isEmpty()
                && name.length() <= ExtendedAttributes.NAME_MAX
                && name.indexOf('\0') < 0
                && value.length() <= ExtendedAttributes.SIZE_MAX;
    }

    private static long number(Map<?, ?> map, String name, long least, long most) {
        if (!(map.get(name) instanceof Long number) || number < least || number > most) {
            throw new IllegalArgumentException(name);
        }
        return number;
    }
}
