package pve.oci.oci;

import java.util.Map;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import pve.oci.text.Text;

/**
 * A content digest, {@code algorithm:encoded} (descriptor.md, Digests). Only the registered algorithms are known; their
 * encoded form is lower-case hexadecimal of fixed length, so that a digest can be used as a file name.
 */
public record Digest(String algorithm, String encoded) {
    /** Registered algorithms and the length of their encoded part. */
    private static final Map<String, Integer> LENGTHS = Map.of("sha256", 64, "sha512", 128);

    private static final Pattern HEX = Pattern.compile("[0-9a-f]+");

    /** descriptor.md, Digests: algorithm, with its separators */
    private static final Pattern ALGORITHM = Pattern.compile("[a-z0-9]+(?:[+._-][a-z0-9]+)*");

    /** Reads {@code algorithm:encoded}; the text is quoted in the error, not trusted. */
    public static Digest parse(String unsafeText, String pointer) throws ImageFormatException {
        int colon = unsafeText.indexOf(':');
        String algorithm = colon < 0 ? "" : unsafeText.substring(0, colon);
        String encoded = unsafeText.substring(colon + 1);
        if (!ALGORITHM.matcher(algorithm).matches()) {
            throw new ImageFormatException(pointer, "invalid digest '" + Text.clean(unsafeText) + "'");
        }
        Integer length = LENGTHS.get(algorithm);
        if (length == null) {
            throw new ImageFormatException(
                    pointer, "unsupported digest algorithm '" + Text.clean(algorithm) + "', known: sha256, sha512");
        }
        if (encoded.length() != length || !HEX.matcher(encoded).matches()) {
            throw new ImageFormatException(
                    pointer, "invalid " + algorithm + " digest '" + Text.clean(unsafeText) + "'");
        }
        return new Digest(algorithm, encoded);
    }

    /** The blob's place in a layout (image-layout.md, Blobs). */
    public String blobPath() {
        return "blobs/" + algorithm + "/" + encoded;
    }

    // equals, hashCode: a record's own are made at their first call, by method handles that take longer than an index

    @Override
    public boolean equals(@Nullable Object other) {
        return other instanceof Digest digest && algorithm.equals(digest.algorithm) && encoded.equals(digest.encoded);
    }

    @Override
    public int hashCode() {
        return encoded.hashCode();
    }

    @Override
    public String toString() {
        return algorithm + ":" + encoded;
    }
}
