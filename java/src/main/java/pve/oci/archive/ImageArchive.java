package pve.oci.archive;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.compress.Compression;
import pve.oci.compress.CorruptBlobException;
import pve.oci.compress.UnsupportedCompressionException;
import pve.oci.json.JsonLimits;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.NativeBuffer;
import pve.oci.oci.ImageError;
import pve.oci.oci.ImageException;
import pve.oci.tar.TarFormatException;
import pve.oci.tar.TarLimitException;

/** An open image archive: tells what format it has, and finds the image in it. */
public final class ImageArchive implements AutoCloseable {
    /** What an archive is, as in the interface's reply of DetectArchive. */
    public enum Format {
        OCI_ARCHIVE("ociArchive"),
        DOCKER_ARCHIVE("dockerArchive"),
        TAR("tar"),
        UNKNOWN("unknown");

        private final String text;

        Format(String text) {
            this.text = text;
        }

        @Override
        public String toString() {
            return text;
        }
    }

    /** Programs that make an archive readable, by the names of {@link UnsupportedCompressionException}. */
    private static final Map<String, String> DECOMPRESSORS =
            Map.of("xz", "xz", "bzip2", "bzip2", "lzma", "xz", "lz4", "lz4", "lzip", "lzip", "lzop", "lzop");

    private final ImageFiles files;
    private final JsonLimits limits;

    private ImageArchive(ImageFiles files, JsonLimits limits) {
        this.files = files;
        this.limits = limits;
    }

    /**
     * Takes the descriptor over and reads the archive's headers; of an archive that is compressed as a whole, all of
     * it.
     *
     * @param fd a regular file, or the directory of an image layout
     * @param zstdWindowLog binary logarithm of the largest window that a zstd frame may have, in bytes
     * @throws ImageException if it is no archive of a known compression, is damaged, or exceeds a limit
     */
    public static ImageArchive open(Fd fd, JsonLimits limits, int zstdWindowLog) throws IOException {
        try {
            return new ImageArchive(files(fd, zstdWindowLog), limits);
        } catch (TarFormatException e) {
            fd.close();
            throw ImageException.of(ImageError.MALFORMED_ARCHIVE)
                    .with("offset", e.offset())
                    .cause(e)
                    .message("not an image archive: " + e.getMessage());
        } catch (UnsupportedCompressionException e) {
            fd.close();
            throw unsupported(e);
        } catch (CorruptBlobException e) {
            fd.close();
            throw ImageException.of(ImageError.MALFORMED_ARCHIVE)
                    .cause(e)
                    .message("not an image archive: " + e.getMessage());
        } catch (TarLimitException e) {
            fd.close();
            throw ImageException.limit(e.limit(), e.maximum()).cause(e).exceeded("archive: " + e.getMessage());
        } catch (IOException | RuntimeException e) {
            fd.close();
            throw e;
        }
    }

    private static ImageException unsupported(UnsupportedCompressionException e) {
        String program = DECOMPRESSORS.get(e.compression());
        return ImageException.of(ImageError.MALFORMED_ARCHIVE)
                .cause(e)
                .message("not an image archive: it is in the format " + e.compression()
                        + ", but must be a tar archive, plain or compressed with gzip or zstd"
                        + (program == null ? "" : "; decompress it with '" + program + " -d' first"));
    }

    private static ImageFiles files(Fd fd, int zstdWindowLog) throws IOException {
        FileStatus status = new FileStatus().read(fd.number());
        if (status.isDirectory()) {
            return new LayoutDirectory(fd);
        }
        long size = status.size();
        NativeBuffer start = NativeBuffer.allocate(512);
        int length = FileBlob.readFully(fd, start.address(), start.size(), 0);
        ByteBuffer first = start.buffer().position(0).limit(length);
        Compression compression = Compression.detect(first);
        return compression == Compression.NONE
                ? new TarArchive(fd, size)
                : new CompressedTarArchive(fd, compression, zstdWindowLog);
    }

    /** Tells the format from the names of the files in it. */
    public Format format() throws IOException {
        if (files.size("index.json") != null || files.size("oci-layout") != null) {
            return Format.OCI_ARCHIVE;
        }
        if (files.size("manifest.json") != null && !isSkopeoDirectory()) {
            return Format.DOCKER_ARCHIVE;
        }
        return files.isDirectory() || files.isEmpty() ? Format.UNKNOWN : Format.TAR;
    }

    /**
     * Whether skopeo's transport {@code dir:} wrote it. That has a manifest.json too, but it is the image's own
     * manifest, an object, while docker's is an array.
     */
    private boolean isSkopeoDirectory() throws IOException {
        if (files.size("version") == null) {
            return false;
        }
        NativeBuffer start = NativeBuffer.allocate(16);
        try (BlobSource version = files.open("version")) {
            ByteBuffer bytes = start.buffer().duplicate().position(0).limit(version.read(start));
            return StandardCharsets.US_ASCII.decode(bytes).toString().startsWith("Directory Trans");
        }
    }

    /** Whether blobs can only be read one after the other. */
    public boolean isStream() {
        return files.isStream();
    }

    /** The imageLayoutVersion of the file oci-layout; null when there is none that can be read. */
    public @Nullable String layoutVersion() throws IOException {
        return files.size("oci-layout") == null ? null : new OciLayout(files, limits).version();
    }

    /**
     * The images in it.
     *
     * @throws ImageException NotAnOciArchive if it is no image archive
     */
    public ImageSource images() throws IOException {
        Format format = format();
        return switch (format) {
            case OCI_ARCHIVE -> new OciLayout(files, limits);
            case DOCKER_ARCHIVE -> new DockerArchive(files, limits);
            case TAR, UNKNOWN -> throw notAnImage(format);
        };
    }

    private ImageException notAnImage(Format format) throws IOException {
        String index = files.otherType("index.json");
        String reason = "it has neither index.json nor oci-layout nor manifest.json";
        if (index != null) {
            reason = "index.json is " + index;
        } else if (files.isEmpty()) {
            reason = "it is empty";
        } else if (files.size("manifest.json") != null) {
            reason = "it is a directory of skopeo's transport dir:,"
                    + " which 'skopeo copy dir:... oci-archive:...' converts";
        }
        return ImageException.of(ImageError.NOT_AN_OCI_ARCHIVE)
                .with("format", format.toString())
                .message("not an OCI image archive: " + reason);
    }

    @Override
    public void close() {
        files.close();
    }
}
