package pve.oci.tar;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveInputStream;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;
import org.apache.commons.compress.archivers.tar.TarConstants;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Compares the reader with commons-compress, on archives that commons-compress and TarBuilder write. */
class TarOracleTest {
    @ParameterizedTest
    @ValueSource(ints = {TarArchiveOutputStream.LONGFILE_GNU, TarArchiveOutputStream.LONGFILE_POSIX})
    void reads_what_commons_compress_writes(int longFileMode) throws IOException {
        for (long seed = 0; seed < 20; seed++) {
            byte[] archive = write(longFileMode, new Random(seed));
            assertThat(ReadEntry.readAll(archive)).isEqualTo(commons(archive));
        }
    }

    @Test
    void reads_what_the_builder_writes_as_commons_compress_does() throws IOException {
        byte[] archive = new TarBuilder()
                .directory("d/")
                .mode(0600)
                .owner(70000, 3_000_000_000L)
                .file("d/" + "n".repeat(150), "content")
                .symlink("l", "t".repeat(150))
                .hardLink("h", "l")
                .characterDevice("c", 5, 1)
                .blockDevice("b", 8, 16)
                .fifo("p")
                .gnu()
                .longName("g".repeat(200))
                .file("g", new byte[3000])
                .v7()
                .file("old", "x")
                .build();
        assertThat(ReadEntry.readAll(archive)).isEqualTo(commons(archive));
    }

    private static byte[] write(int longFileMode, Random random) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        TarArchiveOutputStream out = new TarArchiveOutputStream(bytes, "ISO-8859-1");
        out.setLongFileMode(longFileMode);
        boolean posix = longFileMode == TarArchiveOutputStream.LONGFILE_POSIX;
        out.setBigNumberMode(posix ? TarArchiveOutputStream.BIGNUMBER_POSIX : TarArchiveOutputStream.BIGNUMBER_STAR);
        byte[] types = {
            TarConstants.LF_NORMAL,
            TarConstants.LF_LINK,
            TarConstants.LF_SYMLINK,
            TarConstants.LF_CHR,
            TarConstants.LF_DIR,
            TarConstants.LF_FIFO
        };
        for (int i = 0; i < 50; i++) {
            add(out, types[random.nextInt(types.length)], random);
        }
        out.close();
        return bytes.toByteArray();
    }

    private static void add(TarArchiveOutputStream out, byte type, Random random) throws IOException {
        String name = "n".repeat(1 + random.nextInt(300)) + (type == TarConstants.LF_DIR ? "/" : "");
        TarArchiveEntry entry = new TarArchiveEntry(name, type);
        entry.setMode(random.nextInt(010000));
        // commons-compress cuts larger ones to an int
        entry.setUserId(random.nextLong(1L << 31));
        entry.setGroupId(random.nextLong(1L << 20));
        entry.setLastModifiedTime(FileTime.from(random.nextLong(1L << 33) - (1L << 31), TimeUnit.SECONDS));
        if (type == TarConstants.LF_LINK || type == TarConstants.LF_SYMLINK) {
            entry.setLinkName("t".repeat(1 + random.nextInt(300)));
        }
        byte[] content = new byte[type == TarConstants.LF_NORMAL ? random.nextInt(3000) : 0];
        random.nextBytes(content);
        entry.setSize(content.length);
        out.putArchiveEntry(entry);
        out.write(content);
        out.closeArchiveEntry();
    }

    private static List<ReadEntry> commons(byte[] archive) throws IOException {
        List<ReadEntry> entries = new ArrayList<>();
        try (TarArchiveInputStream in = new TarArchiveInputStream(new ByteArrayInputStream(archive), "ISO-8859-1")) {
            for (TarArchiveEntry entry = in.getNextEntry(); entry != null; entry = in.getNextEntry()) {
                boolean link = entry.isLink() || entry.isSymbolicLink();
                entries.add(new ReadEntry(
                        entry.getName(),
                        type(entry),
                        link ? entry.getLinkName() : "",
                        entry.getMode() & 07777,
                        entry.getLongUserId(),
                        entry.getLongGroupId(),
                        entry.isFile() ? entry.getSize() : 0,
                        entry.getLastModifiedTime().to(TimeUnit.SECONDS),
                        0,
                        entry.getDevMajor(),
                        entry.getDevMinor(),
                        Map.of(),
                        entry.isFile() ? new String(in.readAllBytes(), ISO_8859_1) : ""));
            }
        }
        return entries;
    }

    private static EntryType type(TarArchiveEntry entry) {
        if (entry.isLink()) {
            return EntryType.HARD_LINK;
        } else if (entry.isSymbolicLink()) {
            return EntryType.SYMLINK;
        } else if (entry.isCharacterDevice()) {
            return EntryType.CHARACTER_DEVICE;
        } else if (entry.isBlockDevice()) {
            return EntryType.BLOCK_DEVICE;
        } else if (entry.isFIFO()) {
            return EntryType.FIFO;
        }
        return entry.isDirectory() ? EntryType.DIRECTORY : EntryType.REGULAR;
    }
}
