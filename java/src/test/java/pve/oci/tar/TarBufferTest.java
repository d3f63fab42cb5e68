package pve.oci.tar;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Where the source's buffers end makes no difference, and ordinary entries make no garbage. */
class TarBufferTest {
    /** One of everything; the base of the mutation test too. */
    static TarBuilder everything() {
        byte[] content = new byte[5000];
        new Random(7).nextBytes(content);
        byte[] version1 = Arrays.copyOf("2\n0\n512\n1024\n100\n".getBytes(US_ASCII), 1124);
        return new TarBuilder()
                .pax("comment", "global")
                .paxHeader('g')
                .directory("etc/")
                .mode(04755)
                .owner(5, 6)
                .file("etc/passwd", content)
                .symlink("etc/link", "passwd")
                .hardLink("etc/hard", "etc/passwd")
                .characterDevice("dev/null", 1, 3)
                .fifo("fifo")
                .gnu()
                .longLinkName("t".repeat(700))
                .longName("d/".repeat(300) + "n")
                .symlink("d", "t")
                .mtime(-5)
                .patch(386, String.format("%011o\0%011o\0", 100, 5000))
                .patch(483, String.format("%011o\0", 6000))
                .entry('S', new byte[] {'s'}, new byte[0], content)
                .ustar()
                .xattr("user.large", new byte[3000])
                .pax("mtime", "-1.5")
                .pax("LIBARCHIVE.xattr.user.k", "AAAA")
                .owner(3_000_000_000L, 7)
                .file("n".repeat(120), "x".repeat(512))
                .pax("GNU.sparse.major", "1")
                .pax("GNU.sparse.minor", "0")
                .pax("GNU.sparse.name", "sparse1")
                .pax("GNU.sparse.realsize", "5000")
                .file("GNUSparseFile/sparse1", version1)
                .pax("GNU.sparse.size", "3000")
                .pax("GNU.sparse.map", "0,100,1000,1000")
                .file("sparse01", new byte[1100])
                .v7()
                .file("last", "y");
    }

    @Test
    void borders_of_buffers_make_no_difference() throws IOException {
        byte[] archive = everything().build();
        List<ReadEntry> whole = ReadEntry.readAll(archive, 1 << 20, TarLimits.DEFAULT);
        assertThat(whole).hasSize(12);
        for (int blocks = 1; blocks <= 40; blocks++) {
            assertThat(ReadEntry.readAll(archive, 512 * blocks, TarLimits.DEFAULT))
                    .isEqualTo(whole);
        }
    }

    @Test
    void every_way_to_cut_the_archive_is_an_error_or_fewer_entries() throws IOException {
        byte[] archive = everything().build();
        List<ReadEntry> whole = ReadEntry.readAll(archive);
        int refused = 0;
        for (int size = 0; size < archive.length; size += 37) {
            try {
                List<ReadEntry> read = ReadEntry.readAll(Arrays.copyOf(archive, size), 1024, TarLimits.DEFAULT);
                assertThat(whole.subList(0, read.size())).isEqualTo(read);
            } catch (TarFormatException e) {
                assertThat(e).hasMessageContaining("truncated");
                refused++;
            }
        }
        assertThat(refused).isGreaterThan(500);
    }

    @Test
    void ordinary_entries_make_no_garbage() throws IOException {
        TarBuilder builder = new TarBuilder();
        for (int i = 0; i < 2000; i++) {
            builder.file("usr/share/doc/file" + i, "x".repeat(i % 1500)).symlink("l" + i, "target");
        }
        byte[] archive = builder.build();
        read(new TarReader(new BytesSource(archive, archive.length), TarLimits.DEFAULT));
        TarReader reader = new TarReader(new BytesSource(archive, archive.length), TarLimits.DEFAULT);
        assertThat(reader.next()).isTrue();
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long before = threads.getThreadAllocatedBytes(Thread.currentThread().getId());
        int count = read(reader);
        long allocated = threads.getThreadAllocatedBytes(Thread.currentThread().getId()) - before;
        assertThat(count).isEqualTo(3999);
        assertThat(allocated).isLessThan(count * 8L);
    }

    private static int read(TarReader reader) throws IOException {
        int count = 0;
        long bytes = 0;
        while (reader.next()) {
            while (reader.nextData()) {
                bytes += reader.dataLength();
            }
            count++;
        }
        return bytes > 0 ? count : 0;
    }
}
