package pve.oci.layer;

import java.nio.charset.StandardCharsets;
import java.util.List;
import org.jspecify.annotations.Nullable;
import pve.oci.tar.EntryType;

/** Which extended attributes of an image are applied, and why the others are not. */
final class XattrPolicy {
    private record Rule(String prefix, @Nullable String reason) {
        boolean matches(String name) {
            return prefix.endsWith(".") ? name.startsWith(prefix) : name.equals(prefix);
        }
    }

    /** The first rule that fits counts; a rule without a reason lets the attribute through. */
    private static final List<Rule> RULES = List.of(
            new Rule("user.", null),
            // the kernel makes version 3 of it, with the root id of the namespace (capabilities(7))
            new Rule("security.capability", null),
            // the kernel shifts the ids in it by the map
            new Rule("system.posix_acl_access", null),
            new Rule("system.posix_acl_default", null),
            // succeeds inside a user namespace, although the label belongs to the host's policy
            new Rule("security.selinux", "labels are the host's"),
            new Rule("security.ima", "signatures are the host's"),
            new Rule("security.evm", "signatures are the host's"),
            new Rule("security.", "belongs to a security module of the host"),
            new Rule("trusted.", "is for the host's root only"),
            new Rule("system.nfs4_acl", "works on NFS only"),
            new Rule("system.", "is not known"));

    private XattrPolicy() {}

    /** Why the attribute is left out; null when it is to be applied. */
    static @Nullable String refusal(byte[] name, EntryType type) {
        String text = new String(name, StandardCharsets.ISO_8859_1);
        for (Rule rule : RULES) {
            if (rule.matches(text)) {
                return rule.reason() != null ? rule.reason() : refusalByType(text, type);
            }
        }
        return "is of an unknown namespace";
    }

    /** xattr(7): user attributes for files and directories only; capabilities(7): for files only. */
    private static @Nullable String refusalByType(String name, EntryType type) {
        boolean isFile = type == EntryType.REGULAR;
        boolean isDirectory = type == EntryType.DIRECTORY;
        if (name.startsWith("system.")) {
            boolean isForDirectories = name.endsWith("_default");
            return type == EntryType.SYMLINK || (isForDirectories && !isDirectory)
                    ? "cannot be set on this type"
                    : null;
        }
        return isFile || (isDirectory && name.startsWith("user.")) ? null : "cannot be set on this type";
    }
}
