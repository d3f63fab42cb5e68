package pve.oci.tar;

import java.nio.charset.StandardCharsets;

/** An extended attribute of an entry. Neither array may be changed. */
public final class Xattr {
    /** Name of an access control list that comes as text. The kernel does not take it in this form. */
    public static final String ACL_ACCESS_TEXT = "SCHILY.acl.access";

    public static final String ACL_DEFAULT_TEXT = "SCHILY.acl.default";

    private final byte[] name;
    private final byte[] value;

    public Xattr(byte[] name, byte[] value) {
        this.name = name;
        this.value = value;
    }

    /** With the namespace: {@code user.comment}; holds no NUL and is not empty. */
    public byte[] name() {
        return name;
    }

    public byte[] value() {
        return value;
    }

    @Override
    public String toString() {
        return new String(name, StandardCharsets.ISO_8859_1) + " (" + value.length + " bytes)";
    }
}
