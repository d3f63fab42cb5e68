package pve.oci.archive;

import java.io.IOException;
import pve.oci.json.JsonLimitException;
import pve.oci.json.JsonLimits;
import pve.oci.linux.NativeBuffer;
import pve.oci.oci.Descriptor;
import pve.oci.oci.Digest;
import pve.oci.oci.ImageError;
import pve.oci.oci.ImageException;
import pve.oci.oci.ImageFormatException;
import pve.oci.text.Text;

/** Reads an archive's JSON documents: bounded in size, digest and size verified against the descriptor. */
final class DocumentReader {
    private final ImageFiles files;
    private final JsonLimits limits;

    DocumentReader(ImageFiles files, JsonLimits limits) {
        this.files = files;
        this.limits = limits;
    }

    /** Parses a document; the exception says what is wrong and where in it. */
    interface Parser<T> {
        T parse(byte[] json, JsonLimits limits) throws ImageFormatException, JsonLimitException;
    }

    /** Reads and parses a document that has no descriptor: index.json, manifest.json. */
    <T> T parse(String name, Parser<T> parser) throws IOException {
        Long size = files.size(name);
        if (size == null) {
            String other = files.otherType(name);
            throw ImageException.of(ImageError.MALFORMED_IMAGE)
                    .message(other == null ? "missing file " + name : name + " is " + other + ", not a regular file");
        }
        byte[] json = read(name, size, name);
        try {
            return parser.parse(json, limits);
        } catch (ImageFormatException e) {
            throw ImageException.of(ImageError.MALFORMED_IMAGE)
                    .with("jsonPointer", e.pointer())
                    .cause(e)
                    .message(name + ": " + e.getMessage());
        } catch (JsonLimitException e) {
            throw exceeded(name, e);
        }
    }

    /** The document's bytes, after its size and digest were compared. {@code what} is for messages: "manifest". */
    byte[] read(Descriptor descriptor, String what) throws IOException {
        String name = descriptor.digest().blobPath();
        String place = what + " " + descriptor.digest();
        checkSize(descriptor.size(), place);
        Long size = files.size(name);
        if (size == null) {
            throw missing(descriptor.digest(), place);
        }
        if (size != descriptor.size()) {
            throw ImageException.of(ImageError.SIZE_MISMATCH)
                    .with("blobDigest", descriptor.digest().toString())
                    .with("expectedSize", descriptor.size())
                    .with("actualSize", size)
                    .message(place + ": blob has a size of " + size + " bytes, its descriptor says "
                            + descriptor.size());
        }
        byte[] bytes = read(name, size, place);
        Digest actual = digest(bytes, descriptor.digest().algorithm());
        if (!actual.equals(descriptor.digest())) {
            throw ImageException.of(ImageError.DIGEST_MISMATCH)
                    .with("blobDigest", descriptor.digest().toString())
                    .with("actualDigest", actual.toString())
                    .with("checked", "blob")
                    .message(place + ": blob has the digest " + actual + ", which does not match");
        }
        return bytes;
    }

    /** Parses what {@link #read} gave. */
    <T> T parse(byte[] json, Descriptor descriptor, String what, Parser<T> parser) throws ImageException {
        try {
            return parser.parse(json, limits);
        } catch (ImageFormatException e) {
            throw ImageException.of(ImageError.MALFORMED_IMAGE)
                    .with("blobDigest", descriptor.digest().toString())
                    .with("jsonPointer", e.pointer())
                    .cause(e)
                    .message(what + " " + descriptor.digest() + ": " + e.getMessage());
        } catch (JsonLimitException e) {
            throw exceeded(what + " " + descriptor.digest(), e);
        }
    }

    private static ImageException exceeded(String place, JsonLimitException e) {
        return ImageException.limit(e.limit(), e.maximum()).cause(e).exceeded(place + ": " + e.what());
    }

    ImageException missing(Digest digest, String place) throws IOException {
        String other = files.otherType(digest.blobPath());
        return ImageException.of(ImageError.BLOB_NOT_FOUND)
                .with("digest", digest.toString())
                .message(place + (other == null ? ": blob not found in the archive" : ": blob is " + other));
    }

    static Digest digest(byte[] bytes, String algorithm) {
        NativeBuffer memory = NativeBuffer.allocate(Math.max(1, bytes.length));
        memory.buffer().put(0, bytes);
        try (ContentHash hash = new ContentHash(algorithm)) {
            hash.update(memory, bytes.length);
            return hash.finish();
        }
    }

    private void checkSize(long size, String place) throws ImageException {
        if (size > limits.maximumSize()) {
            throw ImageException.limit("maximumJsonSize", limits.maximumSize())
                    .exceeded(place + ": size of " + size + " bytes is too large");
        }
    }

    byte[] read(String name, long size, String place) throws IOException {
        checkSize(size, place);
        NativeBuffer memory = NativeBuffer.allocate((int) Math.max(1, size));
        try (BlobSource blob = files.open(name)) {
            int length = blob.read(memory);
            if (length != size) {
                throw ImageException.of(ImageError.MALFORMED_ARCHIVE)
                        .message(Text.clean(place) + ": archive is truncated, " + (size - length)
                                + " bytes are missing");
            }
        }
        byte[] bytes = new byte[(int) size];
        memory.buffer().get(0, bytes);
        return bytes;
    }
}
