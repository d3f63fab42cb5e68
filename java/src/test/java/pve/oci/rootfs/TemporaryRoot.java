package pve.oci.rootfs;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import pve.oci.linux.CString;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;

/** A root directory for a test, as the daemon hands it over: a detached mount. Removed with all that is in it. */
public final class TemporaryRoot implements AutoCloseable {
    private static final int AT_FDCWD = -100;

    private final Path folder;
    private final int umask;

    /** Skips the test that makes one without being root. */
    public TemporaryRoot() throws IOException {
        assumeTrue(Libc.getuid() == 0, "owners and mounts need root");
        folder = Files.createTempDirectory("pve-oci-root");
        umask = Libc.umask(0);
    }

    public Path path() {
        return folder;
    }

    public Path path(String name) {
        return folder.resolve(name);
    }

    /** A new descriptor of the detached mount, to be owned by the caller. */
    public Fd open() throws IOException {
        return clone(0);
    }

    /** The same with what is mounted below the root directory. */
    public Fd openWithVolumes() throws IOException {
        return clone(Libc.AT_RECURSIVE);
    }

    private Fd clone(int flags) throws IOException {
        CString name = CString.of(folder.toString().getBytes(UTF_8));
        return new Fd(Libc.openTree(AT_FDCWD, name.address(), Libc.OPEN_TREE_CLONE | Libc.OPEN_TREE_CLOEXEC | flags));
    }

    /** A file or directory as any program would open it. */
    public static Fd open(Path path) throws IOException {
        CString name = CString.of(path.toString().getBytes(UTF_8));
        return new Fd(Libc.openat(AT_FDCWD, name.address(), Libc.O_RDONLY | Libc.O_CLOEXEC, 0));
    }

    /** Runs a shell in the root directory; returns what it printed. */
    public String shell(String command) throws IOException {
        try {
            Process process = new ProcessBuilder("sh", "-ec", "umask 022; " + command)
                    .directory(folder.toFile())
                    .redirectError(ProcessBuilder.Redirect.INHERIT)
                    .start();
            String output = new String(process.getInputStream().readAllBytes(), UTF_8);
            if (process.waitFor() != 0) {
                throw new IOException("failed: " + command);
            }
            return output;
        } catch (InterruptedException e) {
            throw new IOException(e);
        }
    }

    @Override
    public void close() throws IOException {
        Libc.umask(umask);
        // the JDK follows paths by their names: trees may be deeper than a path can be long
        shell("rm -rf '" + folder + "'");
    }
}
