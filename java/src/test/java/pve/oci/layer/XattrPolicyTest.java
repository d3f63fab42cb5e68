package pve.oci.layer;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import pve.oci.tar.EntryType;

class XattrPolicyTest {
    @ParameterizedTest
    @CsvSource({
        "user.a, REGULAR",
        "user.a, DIRECTORY",
        "security.capability, REGULAR",
        "system.posix_acl_access, REGULAR",
        "system.posix_acl_access, DIRECTORY",
        "system.posix_acl_access, FIFO",
        "system.posix_acl_default, DIRECTORY",
    })
    void applies(String name, EntryType type) {
        assertThat(XattrPolicy.refusal(name.getBytes(UTF_8), type)).isNull();
    }

    @ParameterizedTest
    @CsvSource({
        "user.a, SYMLINK, type",
        "user.a, FIFO, type",
        "user.a, CHARACTER_DEVICE, type",
        "security.capability, DIRECTORY, type",
        "security.capability, SYMLINK, type",
        "system.posix_acl_access, SYMLINK, type",
        "system.posix_acl_default, REGULAR, type",
        "security.selinux, REGULAR, host",
        "security.SMACK64, REGULAR, host",
        "security.ima, REGULAR, host",
        "security.evm, REGULAR, host",
        "trusted.overlay.opaque, DIRECTORY, root",
        "system.nfs4_acl, REGULAR, NFS",
        "system.other, REGULAR, not known",
        "user, REGULAR, namespace",
        "os2.a, REGULAR, namespace",
        "USER.a, REGULAR, namespace",
    })
    void leaves_out_with_a_reason(String name, EntryType type, String reason) {
        assertThat(XattrPolicy.refusal(name.getBytes(UTF_8), type)).contains(reason);
    }
}
