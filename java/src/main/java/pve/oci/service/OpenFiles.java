package pve.oci.service;

import org.jspecify.annotations.Nullable;
import pve.oci.linux.CString;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.linux.NativeBuffer;
import pve.oci.text.Text;
import pve.oci.varlink.ServerCall;
import pve.oci.varlink.VarlinkException;

/** Opens the files and directories that a call names by path or by descriptor. */
final class OpenFiles {
    private static final int PATH_SIZE = 4096;

    private OpenFiles() {}

    /** Requires that exactly one of the two is given. If none is, the error names the path. */
    static void requireExactlyOne(
            String parameter, @Nullable String path, String descriptorParameter, @Nullable Long descriptor)
            throws VarlinkException {
        if (path == null && descriptor == null) {
            throw VarlinkException.invalidParameter(parameter);
        }
        if (path != null && descriptor != null) {
            throw VarlinkException.invalidParameter(descriptorParameter);
        }
    }

    /**
     * Opens the path with O_PATH, which has no effect on devices and FIFOs. Only root may name paths, and only in the
     * daemon's own mount namespace.
     */
    static Fd path(ServerCall call, String parameter, String path, int flags) throws VarlinkException {
        PeerRules.requireRoot(call.peer(), parameter);
        if (!path.startsWith("/") || path.indexOf('\0') >= 0) {
            throw OciErrors.invalidArgument(parameter, parameter + " is not an absolute path: " + Text.clean(path));
        }
        PeerRules.requireOurMountNamespace(call.peer(), parameter);
        try {
            return open(path, Libc.O_PATH | Libc.O_CLOEXEC | flags);
        } catch (ErrnoException e) {
            throw OciErrors.cannotOpen(path, e);
        }
    }

    static Fd open(String path, int flags) throws ErrnoException {
        return new Fd(CString.lend(path, address -> Libc.openat(Libc.AT_FDCWD, address, flags, 0)));
    }

    /** The descriptor that came with the call. The call owns it. */
    static Fd descriptor(ServerCall call, String parameter, long index) throws VarlinkException {
        PeerRules.requireRoot(call.peer(), parameter);
        Fd descriptor = call.descriptor(index);
        if (descriptor == null) {
            throw VarlinkException.invalidParameter(parameter);
        }
        return descriptor;
    }

    /** A descriptor of its own for the same file, opened anew. */
    static Fd reopen(Fd fd, int flags) throws ErrnoException {
        return open("/proc/self/fd/" + fd.number(), flags | Libc.O_CLOEXEC);
    }

    /** The name that the kernel has for what is open: a path from our root on, if there is one. */
    static byte[] nameOf(Fd fd) throws ErrnoException {
        NativeBuffer memory = NativeBuffer.allocate(PATH_SIZE);
        int length = CString.lend("/proc/self/fd/" + fd.number(), link ->
                (int) Libc.readlinkat(Libc.AT_FDCWD, link, memory.address(), PATH_SIZE));
        byte[] bytes = new byte[length];
        memory.buffer().get(0, bytes);
        return bytes;
    }
}
