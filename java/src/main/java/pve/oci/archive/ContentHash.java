package pve.oci.archive;

import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.NativeBuffer;
import pve.oci.linux.OpenSsl;
import pve.oci.oci.Digest;

/** Computes a digest over memory: by OpenSSL where it is there, by the JDK otherwise. */
public final class ContentHash implements AutoCloseable {
    private final String algorithm;
    private final OpenSsl.@Nullable OpenSslDigest openSsl;
    private final @Nullable MessageDigest jdk;

    /** @param algorithm as a {@link Digest} has it */
    public ContentHash(String algorithm) {
        this(algorithm, OpenSsl.isAvailable());
    }

    ContentHash(String algorithm, boolean usesOpenSsl) {
        this.algorithm = algorithm;
        openSsl = usesOpenSsl ? new OpenSsl.OpenSslDigest(algorithm) : null;
        jdk = usesOpenSsl ? null : messageDigest(algorithm);
    }

    private static MessageDigest messageDigest(String algorithm) {
        try {
            return MessageDigest.getInstance(algorithm.equals("sha512") ? "SHA-512" : "SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-2", e);
        }
    }

    /** Adds the first bytes of the memory, whatever its buffer's position. */
    public void update(NativeBuffer memory, int size) {
        if (openSsl != null) {
            try {
                openSsl.update(memory.address(), size);
            } finally {
                // The memory is not freed before, though its owner may have no further use for it.
                Reference.reachabilityFence(memory);
            }
        } else if (jdk != null) {
            ByteBuffer bytes = memory.buffer().duplicate();
            jdk.update(bytes.limit(size).position(0));
        }
    }

    /** Ends the computation; returns the digest of all that was added. */
    public Digest finish() {
        int length = algorithm.equals("sha512") ? 64 : 32;
        byte[] bytes = openSsl != null ? openSsl.finish(length) : jdk != null ? jdk.digest() : new byte[0];
        return new Digest(algorithm, HexFormat.of().formatHex(bytes));
    }

    @Override
    public void close() {
        if (openSsl != null) {
            openSsl.close();
        }
    }
}
