package pve.oci.tar;

import java.net.URLDecoder;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * Extended attributes of one PAX header. SCHILY.xattr records hold name and value as they are. libarchive writes each
 * attribute a second time as LIBARCHIVE.xattr, with the name URL-encoded and the value in base64: those count only for
 * an entry that has none of the first kind.
 */
final class XattrCollector {
    private final TarLimits limits;
    private final Map<ByteBuffer, Xattr> schily = new LinkedHashMap<>();
    private final Map<ByteBuffer, Xattr> libarchive = new LinkedHashMap<>();
    private final Map<ByteBuffer, Xattr> acls = new LinkedHashMap<>();

    XattrCollector(TarLimits limits) {
        this.limits = limits;
    }

    void clear() {
        if (!schily.isEmpty()) {
            schily.clear();
        }
        if (!libarchive.isEmpty()) {
            libarchive.clear();
        }
        if (!acls.isEmpty()) {
            acls.clear();
        }
    }

    void addSchily(byte[] name, byte[] value, long offset) throws TarFormatException, TarLimitException {
        add(schily, name, value, offset);
    }

    void addLibarchive(byte[] name, byte[] value, long offset) throws TarFormatException, TarLimitException {
        try {
            // bytes to chars and back one to one, in both directions of the decoder
            String decodedName = URLDecoder.decode(
                    new String(name, StandardCharsets.ISO_8859_1).replace("+", "%2B"), StandardCharsets.ISO_8859_1);
            byte[] decodedValue = Base64.getDecoder().decode(value);
            add(libarchive, decodedName.getBytes(StandardCharsets.ISO_8859_1), decodedValue, offset);
        } catch (IllegalArgumentException e) {
            throw new TarFormatException(offset, "malformed LIBARCHIVE.xattr record in a PAX header");
        }
    }

    /** Access control lists as text, under the keyword's name; an empty one says that there is none. */
    void addAcl(byte[] name, byte[] text, long offset) throws TarFormatException, TarLimitException {
        if (text.length > 0) {
            add(acls, name, text, offset);
        } else {
            acls.remove(ByteBuffer.wrap(name));
        }
    }

    private void add(Map<ByteBuffer, Xattr> attributes, byte[] name, byte[] value, long offset)
            throws TarFormatException, TarLimitException {
        if (name.length > limits.maximumXattrNameSize()) {
            throw new TarLimitException(
                    "name of an xattr is too long", "maximumXattrNameSize", limits.maximumXattrNameSize(), offset);
        }
        if (value.length > limits.maximumXattrSize()) {
            throw new TarLimitException(
                    "value of an xattr is too large", "maximumXattrSize", limits.maximumXattrSize(), offset);
        }
        for (byte b : name) {
            if (b == 0) {
                throw new TarFormatException(offset, "NUL in the name of an xattr in a PAX header");
            }
        }
        attributes.put(ByteBuffer.wrap(name), new Xattr(name, value));
        if (attributes.size() > limits.maximumXattrs()) {
            throw new TarLimitException("entry has too many xattrs", "maximumXattrs", limits.maximumXattrs(), offset);
        }
    }

    List<Xattr> toList() {
        Map<ByteBuffer, Xattr> attributes = schily.isEmpty() ? libarchive : schily;
        if (acls.isEmpty()) {
            return attributes.isEmpty() ? List.of() : List.copyOf(attributes.values());
        }
        return Stream.concat(attributes.values().stream(), acls.values().stream())
                .toList();
    }
}
