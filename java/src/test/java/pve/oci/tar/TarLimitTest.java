package pve.oci.tar;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.reflect.RecordComponent;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** For each limit: what is just as large is accepted, what is larger is refused with the limit's name and value. */
class TarLimitTest {
    private static final TarLimits SMALL = new TarLimits(200, 300, 2000, 12, 50, 3, 4, 10_000);
    private static final List<String> LIMITS = Arrays.stream(TarLimits.class.getRecordComponents())
            .map(RecordComponent::getName)
            .toList();
    private static final byte[] NONE = {};

    private static void accepted(TarBuilder archive) throws IOException {
        assertThat(ReadEntry.readAll(archive.build(), 1024, SMALL)).hasSize(1);
    }

    private static void refused(TarBuilder archive, String limit, long maximum, String what) {
        byte[] bytes = archive.build();
        assertThatThrownBy(() -> ReadEntry.readAll(bytes, 1024, SMALL))
                .isInstanceOfSatisfying(TarLimitException.class, e -> {
                    assertThat(LIMITS).contains(limit);
                    assertThat(e.limit()).isEqualTo(limit);
                    assertThat(e.maximum()).isEqualTo(maximum);
                    assertThat(e.offset()).isBetween(0L, (long) bytes.length);
                    assertThat(e).hasMessage("tar archive: " + what + " (offset " + e.offset() + ")");
                });
    }

    @Test
    void name() throws IOException {
        accepted(new TarBuilder().pax("path", "x".repeat(200)).file("f", ""));
        accepted(new TarBuilder().longName("x".repeat(200)).file("f", ""));
        refused(
                new TarBuilder().pax("path", "x".repeat(201)).file("f", ""),
                "maximumNameSize",
                200,
                "name is too long");
        refused(new TarBuilder().longName("x".repeat(201)).file("f", ""), "maximumNameSize", 200, "name is too long");
        refused(
                new TarBuilder().patch(345, "p".repeat(150)).file("n".repeat(50), ""),
                "maximumNameSize",
                200,
                "name is too long");
    }

    @Test
    void link_name() throws IOException {
        accepted(new TarBuilder().pax("linkpath", "x".repeat(200)).symlink("f", "g"));
        refused(
                new TarBuilder().pax("linkpath", "x".repeat(201)).symlink("f", "g"),
                "maximumNameSize",
                200,
                "link name is too long");
        refused(
                new TarBuilder().longLinkName("x".repeat(201)).symlink("f", "g"),
                "maximumNameSize",
                200,
                "link name is too long");
    }

    @ParameterizedTest
    @ValueSource(chars = {'L', 'K'})
    void long_name_record(char typeflag) throws IOException {
        byte[] record = new byte[300];
        record[0] = 'f';
        accepted(new TarBuilder().entry(typeflag, NONE, NONE, record).file("f", ""));
        refused(
                new TarBuilder().entry(typeflag, NONE, NONE, new byte[301]).file("f", ""),
                "maximumLongNameSize",
                300,
                "GNU long name is too large");
    }

    @Test
    void long_name_that_only_claims_to_be_large() {
        refused(
                new TarBuilder()
                        .claimedSize(8589934591L)
                        .entry('L', NONE, NONE, NONE)
                        .file("f", ""),
                "maximumFileSize",
                10_000,
                "size is too large");
    }

    @Test
    void pax_header() throws IOException {
        accepted(new TarBuilder().pax("comment", "x".repeat(1980)).file("f", ""));
        refused(
                new TarBuilder().pax("comment", "x".repeat(2000)).file("f", ""),
                "maximumPaxSize",
                2000,
                "PAX header is too large");
    }

    @Test
    void pax_header_that_only_claims_to_be_large() {
        assertThatThrownBy(() -> ReadEntry.readAll(new TarBuilder()
                        .claimedSize(8589934591L)
                        .paxHeader('x')
                        .file("f", "")
                        .build()))
                .isInstanceOfSatisfying(
                        TarLimitException.class, e -> assertThat(e.maximum()).isEqualTo(1 << 20))
                .hasMessageContaining("PAX header is too large");
    }

    @Test
    void xattr_name() throws IOException {
        accepted(new TarBuilder().xattr("user.7890ab" + "c", "v").file("f", ""));
        refused(
                new TarBuilder().xattr("user.7890abcd", "v").file("f", ""),
                "maximumXattrNameSize",
                12,
                "name of an xattr is too long");
        refused(
                new TarBuilder().pax("LIBARCHIVE.xattr.user.7890abcd", "AAAA").file("f", ""),
                "maximumXattrNameSize",
                12,
                "name of an xattr is too long");
    }

    @Test
    void xattr_value() throws IOException {
        accepted(new TarBuilder().xattr("user.k", "v".repeat(50)).file("f", ""));
        refused(
                new TarBuilder().xattr("user.k", "v".repeat(51)).file("f", ""),
                "maximumXattrSize",
                50,
                "value of an xattr is too large");
    }

    @Test
    void xattr_count() throws IOException {
        TarBuilder three = new TarBuilder()
                .xattr("user.a", "")
                .xattr("user.b", "")
                .xattr("user.c", "")
                .xattr("user.c", "");
        accepted(three.file("f", ""));
        TarBuilder four = new TarBuilder()
                .xattr("user.a", "")
                .xattr("user.b", "")
                .xattr("user.c", "")
                .xattr("user.d", "");
        refused(four.file("f", ""), "maximumXattrs", 3, "entry has too many xattrs");
    }

    @Test
    void sparse_regions() throws IOException {
        accepted(new TarBuilder()
                .pax("GNU.sparse.size", "9")
                .pax("GNU.sparse.map", "0,0,1,0,2,0,3,0")
                .file("f", ""));
        refused(
                new TarBuilder()
                        .pax("GNU.sparse.size", "9")
                        .pax("GNU.sparse.map", "0,0,1,0,2,0,3,0,4,0")
                        .file("f", ""),
                "maximumSparseRegions",
                4,
                "sparse file has too many regions");
    }

    @Test
    void sparse_regions_that_are_only_claimed() {
        byte[] map = new byte[512];
        System.arraycopy("9999\n".getBytes(US_ASCII), 0, map, 0, 5);
        refused(
                new TarBuilder()
                        .pax("GNU.sparse.major", "1")
                        .pax("GNU.sparse.minor", "0")
                        .pax("GNU.sparse.realsize", "9")
                        .file("f", map),
                "maximumSparseRegions",
                4,
                "sparse file has too many regions");
    }

    @Test
    void file_size() throws IOException {
        accepted(new TarBuilder().file("f", new byte[10_000]));
        refused(new TarBuilder().file("f", new byte[10_001]), "maximumFileSize", 10_000, "size is too large");
        refused(
                new TarBuilder().pax("size", "10001").file("f", ""),
                "maximumFileSize",
                10_000,
                "size in a PAX header is too large");
        refused(
                new TarBuilder().pax("GNU.sparse.size", "10001").file("f", ""),
                "maximumFileSize",
                10_000,
                "GNU.sparse.size in a PAX header is too large");
    }

    @Test
    void refuses_a_limit_on_file_sizes_with_which_sums_could_overflow() {
        assertThatThrownBy(() -> new TarLimits(1, 1, 1, 1, 1, 1, 1, (1L << 62) + 1))
                .isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void memory_does_not_follow_a_claim() throws IOException {
        byte[] archive = new TarBuilder().claimedSize(1 << 30).paxHeader('x').buildWithoutEnd();
        TarLimits wide = new TarLimits(4096, 1 << 30, 1 << 30, 255, 65536, 1024, 65536, 1L << 62);
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        TarReader reader = new TarReader(new BytesSource(archive, 512), wide);
        long before = threads.getThreadAllocatedBytes(Thread.currentThread().getId());
        assertThatThrownBy(reader::next).hasMessageContaining("truncated");
        long allocated = threads.getThreadAllocatedBytes(Thread.currentThread().getId()) - before;
        assertThat(allocated).isLessThan(10 << 20);
    }
}
