package pve.oci.daemon;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.GZIPOutputStream;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;
import org.apache.commons.compress.archivers.tar.TarConstants;
import org.jspecify.annotations.Nullable;
import pve.oci.json.Json;
import pve.oci.linux.CString;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.linux.NativeBuffer;

/** A small OCI image archive, made in memory, with every kind of entry that images have many of. */
final class WarmUpImage {
    private static final int FILES = 200;
    private static final int FILE_SIZE = 3_000;
    private static final int MFD_CLOEXEC = 1;

    /**
     * The image in native memory, made once. It is opened some 20 times for each worker, and with a buffer for each
     * time only the garbage collector would free them. It is made when it is first needed: this takes 100 ms, which the
     * first client of a new daemon should not have to wait for.
     */
    private @Nullable NativeBuffer archive;

    /** The archive as a file that has no name. */
    Fd open() throws IOException {
        NativeBuffer bytes = archive();
        Fd fd = new Fd(CString.lend("warm-up", address -> Libc.memfdCreate(address, MFD_CLOEXEC)));
        try {
            for (long written = 0; written < bytes.size(); ) {
                written += Libc.pwrite(fd.number(), bytes.address() + written, bytes.size() - written, written);
            }
            return fd;
        } catch (IOException e) {
            fd.close();
            throw e;
        }
    }

    private synchronized NativeBuffer archive() throws IOException {
        if (archive == null) {
            byte[] bytes = build();
            NativeBuffer copy = NativeBuffer.allocate(bytes.length);
            copy.buffer().put(0, bytes);
            archive = copy;
        }
        return archive;
    }

    private static byte[] build() throws IOException {
        byte[] layer = layer();
        byte[] blob = gzip(layer);
        byte[] config = Json.write(Map.of(
                "architecture",
                architecture(),
                "os",
                "linux",
                "config",
                Map.of("Cmd", List.of("/bin/sh"), "Env", List.of("PATH=/bin")),
                "rootfs",
                Map.of("type", "layers", "diff_ids", List.of(digest(layer)))));
        byte[] manifest = Json.write(Map.of(
                "schemaVersion",
                2,
                "mediaType",
                "application/vnd.oci.image.manifest.v1+json",
                "config",
                descriptor("application/vnd.oci.image.config.v1+json", config),
                "layers",
                List.of(descriptor("application/vnd.oci.image.layer.v1.tar+gzip", blob))));
        byte[] index = Json.write(Map.of(
                "schemaVersion",
                2,
                "manifests",
                List.of(descriptor("application/vnd.oci.image.manifest.v1+json", manifest))));
        Map<String, byte[]> files = new LinkedHashMap<>();
        files.put("oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}".getBytes(StandardCharsets.UTF_8));
        files.put("index.json", index);
        for (byte[] each : List.of(manifest, config, blob)) {
            files.put("blobs/sha256/" + digest(each).substring("sha256:".length()), each);
        }
        return tar(files);
    }

    private static String architecture() {
        return System.getProperty("os.arch", "").equals("aarch64") ? "arm64" : "amd64";
    }

    private static Map<String, Object> descriptor(String mediaType, byte[] blob) {
        return Map.of("mediaType", mediaType, "digest", digest(blob), "size", blob.length);
    }

    private static String digest(byte[] bytes) {
        try {
            return "sha256:"
                    + HexFormat.of()
                            .formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    private static byte[] tar(Map<String, byte[]> files) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (TarArchiveOutputStream tar = new TarArchiveOutputStream(bytes)) {
            for (Map.Entry<String, byte[]> file : files.entrySet()) {
                put(tar, new TarArchiveEntry(file.getKey()), file.getValue());
            }
        }
        return bytes.toByteArray();
    }

    private static byte[] layer() throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (TarArchiveOutputStream tar = new TarArchiveOutputStream(bytes)) {
            tar.setLongFileMode(TarArchiveOutputStream.LONGFILE_POSIX);
            for (int i = 0; i < FILES; i++) {
                String directory = "usr/share/d" + i / 20 + "/";
                if (i % 20 == 0) {
                    put(tar, new TarArchiveEntry(directory), new byte[0]);
                }
                byte[] content = new byte[FILE_SIZE + 16 * i];
                Arrays.fill(content, (byte) ('a' + i % 26));
                put(tar, new TarArchiveEntry(directory + "file-" + i), content);
                if (i % 4 == 0) {
                    put(tar, link(directory + "symlink-" + i, TarConstants.LF_SYMLINK, "file-" + i), new byte[0]);
                    put(tar, link(directory + "link-" + i, TarConstants.LF_LINK, directory + "file-" + i), new byte[0]);
                }
            }
            put(tar, new TarArchiveEntry("usr/" + "long-".repeat(40)), new byte[10]);
        }
        return bytes.toByteArray();
    }

    private static TarArchiveEntry link(String name, byte type, String target) {
        TarArchiveEntry entry = new TarArchiveEntry(name, type);
        entry.setLinkName(target);
        return entry;
    }

    private static void put(TarArchiveOutputStream tar, TarArchiveEntry entry, byte[] content) throws IOException {
        entry.setSize(content.length);
        tar.putArchiveEntry(entry);
        tar.write(content);
        tar.closeArchiveEntry();
    }

    private static byte[] gzip(byte[] bytes) throws IOException {
        ByteArrayOutputStream compressed = new ByteArrayOutputStream();
        try (OutputStream gzip = new GZIPOutputStream(compressed)) {
            gzip.write(bytes);
        }
        return compressed.toByteArray();
    }
}
