package pve.oci.layer;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Converts access control lists from the text that tar stores to the attributes that the kernel takes (acl(5),
 * linux/posix_acl_xattr.h). Names of the image's users and groups mean nothing here, so each needs a number: in place
 * of the name, or after the permissions, where star and libarchive write it.
 */
final class AclText {
    private static final Pattern LINE_END = Pattern.compile("[,\n]");
    private static final Pattern COLON = Pattern.compile("\\s*:\\s*");
    private static final int VERSION = 2;
    private static final int NO_ID = -1;

    /** An entry of a list: which of the kernel's tags it has, in the order that the kernel wants. */
    private record AclEntry(int tag, int permissions, int id) {}

    private AclText() {}

    /** The attribute's value; null when the text has a name without a number, or is malformed. */
    static byte @Nullable [] toAttribute(byte[] text) {
        List<AclEntry> entries = new ArrayList<>();
        for (String line : LINE_END.split(new String(text, StandardCharsets.ISO_8859_1), -1)) {
            String part = line.replaceFirst("#.*", "").strip();
            if (!part.isEmpty()) {
                AclEntry entry = entry(COLON.split(part, -1));
                if (entry == null) {
                    return null;
                }
                entries.add(entry);
            }
        }
        entries.sort(Comparator.comparingInt(AclEntry::tag).thenComparingLong(x -> Integer.toUnsignedLong(x.id())));
        ByteBuffer value = ByteBuffer.allocate(4 + 8 * entries.size()).order(ByteOrder.LITTLE_ENDIAN);
        value.putInt(VERSION);
        for (AclEntry entry : entries) {
            value.putShort((short) entry.tag())
                    .putShort((short) entry.permissions())
                    .putInt(entry.id());
        }
        return entries.isEmpty() ? null : value.array();
    }

    /** {@code TYPE:QUALIFIER:PERMISSIONS[:ID]}; other and mask may leave the empty qualifier out. */
    private static @Nullable AclEntry entry(String[] fields) {
        String type = fields[0];
        boolean isShort = fields.length == 2 && (type.startsWith("o") || type.startsWith("m"));
        if (!isShort && (fields.length < 3 || fields.length > 4)) {
            return null;
        }
        String qualifier = isShort ? "" : fields[1];
        int permissions = permissions(isShort ? fields[1] : fields[2]);
        int id = qualifier.isEmpty() ? NO_ID : id(fields.length == 4 ? fields[3] : qualifier);
        int tag = tag(type, !qualifier.isEmpty());
        boolean isValid = permissions >= 0 && tag > 0 && (qualifier.isEmpty() || id != NO_ID);
        return isValid ? new AclEntry(tag, permissions, id) : null;
    }

    private static int tag(String type, boolean hasQualifier) {
        return switch (type) {
            case "user", "u" -> hasQualifier ? 0x02 : 0x01;
            case "group", "g" -> hasQualifier ? 0x08 : 0x04;
            case "mask", "m" -> hasQualifier ? -1 : 0x10;
            case "other", "o" -> hasQualifier ? -1 : 0x20;
            default -> -1;
        };
    }

    private static int permissions(String text) {
        int bits = 0;
        for (int i = 0; i < text.length(); i++) {
            int bit = switch (text.charAt(i)) {
                case 'r' -> 4;
                case 'w' -> 2;
                case 'x' -> 1;
                case '-' -> 0;
                default -> -1;
            };
            if (bit < 0) {
                return -1;
            }
            bits |= bit;
        }
        return text.isEmpty() || text.length() > 3 ? -1 : bits;
    }

    private static int id(String text) {
        try {
            return text.isEmpty() || text.charAt(0) == '+' ? NO_ID : Integer.parseUnsignedInt(text);
        } catch (NumberFormatException e) {
            return NO_ID;
        }
    }
}
