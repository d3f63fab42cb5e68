package pve.oci.linux;

import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;
import com.sun.jna.Pointer;

/**
 * Message digests of OpenSSL's libcrypto (EVP_DigestInit(3ssl)). The JDK's own are as fast only once C2 has compiled
 * them, ten times slower before, and a worker lives for one image.
 */
public final class OpenSsl {
    private static final boolean AVAILABLE = bind();

    /** For OPENSSL_info(3ssl): what OpenSSL has found out about the processor. */
    private static final int CPU_SETTINGS = 1008;

    private static final long X86_SHA = 1L << 29;
    private static final long ARM_SHA256 = 1L << 4;

    private OpenSsl() {}

    private static boolean bind() {
        try {
            Native.register(CryptoFunctions.class, NativeLibrary.getInstance("libcrypto.so.3"));
            return true;
        } catch (UnsatisfiedLinkError e) {
            return false;
        }
    }

    public static boolean isAvailable() {
        return AVAILABLE;
    }

    /** Whether the processor has instructions for SHA-256, or that is not known. Without them it takes much longer. */
    public static boolean hasSha256Instructions() {
        return !AVAILABLE
                || hasSha256Instructions(new Pointer(CryptoFunctions.OPENSSL_info(CPU_SETTINGS)).getString(0));
    }

    /** @param settings as OPENSSL_ia32cap(3ssl) describes them, with the name of the variable before them */
    static boolean hasSha256Instructions(String settings) {
        if (settings.startsWith("OPENSSL_ia32cap=")) {
            // the second number is EBX and ECX of CPUID's leaf 7
            return (hexAfter(settings, ":0x") & X86_SHA) != 0;
        }
        return !settings.startsWith("OPENSSL_armcap=") || (hexAfter(settings, "=0x") & ARM_SHA256) != 0;
    }

    /** The first number behind a mark; all bits if there is none. */
    private static long hexAfter(String text, String mark) {
        int begin = text.indexOf(mark) + mark.length();
        int end = begin;
        while (end < text.length() && Character.digit(text.charAt(end), 16) >= 0) {
            end++;
        }
        boolean isNumber = text.contains(mark) && end > begin && end - begin <= 16;
        return isNumber ? Long.parseUnsignedLong(text, begin, end, 16) : -1;
    }

    /** One digest being computed. Its memory is freed by {@link #close}. */
    public static final class OpenSslDigest implements AutoCloseable {
        private final NativeBuffer result = NativeBuffer.allocate(64);
        private long context;

        /** @param algorithm sha256 or sha512 */
        public OpenSslDigest(String algorithm) {
            context = CryptoFunctions.EVP_MD_CTX_new();
            long type = algorithm.equals("sha512") ? CryptoFunctions.EVP_sha512() : CryptoFunctions.EVP_sha256();
            check(CryptoFunctions.EVP_DigestInit_ex(context, type, 0));
        }

        /** Digests that many bytes at an address. */
        public void update(long address, long size) {
            check(CryptoFunctions.EVP_DigestUpdate(context, address, size));
        }

        /**
         * Ends the computation.
         *
         * @param length of the algorithm's result, in bytes
         */
        public byte[] finish(int length) {
            check(CryptoFunctions.EVP_DigestFinal_ex(context, result.address(), 0));
            byte[] bytes = new byte[length];
            result.buffer().get(0, bytes);
            return bytes;
        }

        private static void check(int success) {
            if (success != 1) {
                throw new IllegalStateException("libcrypto refused a digest operation");
            }
        }

        @Override
        public void close() {
            CryptoFunctions.EVP_MD_CTX_free(context);
            context = 0;
        }
    }

    /** The C functions themselves; their names are C's. */
    @SuppressWarnings("MemberName") // JNA binds by the method's name
    private static final class CryptoFunctions {
        static native long OPENSSL_info(int type);

        static native long EVP_MD_CTX_new();

        static native void EVP_MD_CTX_free(long context);

        static native long EVP_sha256();

        static native long EVP_sha512();

        static native int EVP_DigestInit_ex(long context, long type, long engine);

        static native int EVP_DigestUpdate(long context, long data, long size);

        static native int EVP_DigestFinal_ex(long context, long result, long size);
    }
}
