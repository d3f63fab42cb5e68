package pve.oci.mtree;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import pve.oci.linux.Fd;
import pve.oci.rootfs.Steps;
import pve.oci.rootfs.TemporaryRoot;

class TreeRecordTest {
    private static final Steps STEPS = new Steps(Long.MAX_VALUE);

    private TemporaryRoot root;
    private Fd fd;

    @BeforeEach
    void makeTree() throws IOException {
        root = new TemporaryRoot();
        root.shell("mkdir -p bin usr/lib usr.d etc tmp; echo a >bin/a; echo b >usr/lib/b; ln -s b usr/lib/l; mkfifo f;"
                + " echo x >usr.d/x; mknod null c 1 3; echo 'odd' >\"$(printf 'o#d\\\\ \\377\\n=')\"; echo c >etc/c;"
                + " setfattr -n user.k -v v etc/c; touch -d @-5.25 etc/c; chown 70000:5 bin/a; chmod 4755 bin/a");
        fd = TemporaryRoot.open(root.path());
        TreeRecord.write(fd, STEPS);
    }

    @AfterEach
    void close() throws IOException {
        fd.close();
        root.close();
    }

    private Changes compare(String... kept) throws IOException {
        Changes changes = new Changes(new PathSet(List.of(kept)));
        TreeRecord.compare(fd, changes, STEPS);
        return changes;
    }

    /** "kind path differences", as listed. */
    private static List<String> texts(Changes changes) {
        return changes.listed().stream()
                .map(x -> (Map<?, ?>) x)
                .map(x -> x.get("kind") + " " + x.get("path")
                        + (x.containsKey("differences") ? " " + x.get("differences") : "")
                        + (x.containsKey("expected") ? " expected: " + x.get("expected") : ""))
                .toList();
    }

    @Test
    void an_untouched_tree_has_no_changes() throws IOException {
        Changes changes = compare();

        assertThat(texts(changes)).isEmpty();
        assertThat(changes.toJson()).containsEntry("compared", 14L).containsEntry("added", 0L);
    }

    @Test
    void other_programs_read_the_record() throws IOException {
        assertThat(root.shell("zstd -dc .pve.oci.mtree.zst | bsdtar -tf - | sort | head -4"))
                .isEqualTo("./bin\n./bin/a\n./etc\n./etc/c\n");
        assertThat(root.shell("stat -c %a .pve.oci.mtree.zst")).isEqualTo("600\n");
    }

    @Test
    void names_each_kind_of_change() throws IOException {
        Map<String, String> cases = Map.ofEntries(
                Map.entry("echo new >etc/new", "added /etc/new"),
                Map.entry("mkdir -p opt/x", "added /opt, added /opt/x"),
                Map.entry("rm bin/a", "removed /bin/a"),
                Map.entry("rm -r usr", "removed /usr, removed /usr/lib, removed /usr/lib/b, removed /usr/lib/l"),
                Map.entry("chmod 600 etc/c", "changed /etc/c [mode]"),
                Map.entry("chown 3:4 etc", "changed /etc [uid, gid]"),
                Map.entry("touch -d @7 etc/c", "changed /etc/c [time]"),
                Map.entry("echo longer >etc/c; touch -d @-5.25 etc/c", "changed /etc/c [size]"),
                Map.entry("setfattr -n user.k -v w etc/c", "changed /etc/c [xattr]"),
                Map.entry("setfattr -x user.k etc/c", "changed /etc/c [xattr]"),
                Map.entry("setfattr -n user.j -v w usr", "changed /usr [xattr]"),
                Map.entry("rm f; mkdir f", "changed /f [type]"),
                Map.entry("rm null; mknod null c 1 5; touch -hd @9 null", "changed /null [time, device]"),
                Map.entry("ln -sfn c usr/lib/l; touch -hd @1 usr/lib/l", "changed /usr/lib/l [time, link]"),
                Map.entry("echo x >tmp/x", "added /tmp/x expected: temporary"),
                Map.entry("echo x >etc/hosts", "added /etc/hosts expected: host"),
                Map.entry("touch etc", ""));
        for (Map.Entry<String, String> each : cases.entrySet()) {
            close();
            makeTree();
            root.shell(each.getKey());
            assertThat(String.join(", ", texts(compare()))).as(each.getKey()).isEqualTo(each.getValue());
        }
    }

    @Test
    void many_and_long_attributes_are_compared_whole() throws IOException {
        root.shell("for i in $(seq 30); do setfattr -n user.long-name-of-an-attribute-$i -v w etc/c; done");
        root.shell("setfattr -n user.long -v $(printf 'v%.0s' $(seq 1000)) etc/c");
        TreeRecord.write(fd, STEPS);
        assertThat(texts(compare())).isEmpty();

        root.shell("setfattr -n user.long -v $(printf 'v%.0s' $(seq 999))w etc/c");

        assertThat(texts(compare())).containsExactly("changed /etc/c [xattr]");
    }

    @Test
    void what_is_kept_counts_as_no_change() throws IOException {
        root.shell("mkdir srv; echo x >srv/x; echo y >etc/y");

        Changes changes = compare("srv");

        assertThat(changes.count()).isEqualTo(1);
        assertThat(texts(changes)).contains("added /srv/x expected: kept", "added /etc/y");
    }

    @Test
    void the_order_is_that_of_directories() throws IOException {
        root.shell("mkdir 'usr.d/y' usr-e; touch usr/z usr-e/z usr.d/y/z 'usr/lib/!'");

        assertThat(texts(compare()))
                .containsExactlyInAnyOrder(
                        "added /usr-e",
                        "added /usr-e/z",
                        "added /usr.d/y",
                        "added /usr.d/y/z",
                        "added /usr/lib/!",
                        "added /usr/z");
    }

    @Test
    void no_record_is_a_state_of_its_own() throws IOException {
        root.shell("rm .pve.oci.mtree.zst");

        assertThatThrownBy(this::compare)
                .isInstanceOfSatisfying(
                        RecordException.class, e -> assertThat(e.isMissing()).isTrue());
    }

    @Test
    void a_damaged_record_is_told_of() throws IOException {
        String head = "#mtree v2.0\\n/set uid=0 gid=0\\n";
        String entry = "./a type=file mode=0644 size=1 time=1.000000000\\n";
        Map<String, String> cases = Map.ofEntries(
                Map.entry("echo nonsense >R", "cannot be decompressed"),
                Map.entry("zstd -q </dev/null >R", "is not what a record begins with"),
                Map.entry("printf '" + head + entry + entry + "' | zstd -q >R", "line 4 is not in order"),
                Map.entry("printf '" + head + "./a type=file' | zstd -q >R", "line 3 is cut off"),
                Map.entry("printf '" + head + "./a type=file\\n' | zstd -q >R", "lacks a keyword"),
                Map.entry(
                        "printf '" + head + "./a type=odd mode=0 time=1.000000000\\n' | zstd -q >R", "lacks a keyword"),
                Map.entry("printf '" + head + "a type=file\\n' | zstd -q >R", "has no path"),
                Map.entry("printf '" + head + "./a b\\n' | zstd -q >R", "has a keyword without a value"),
                Map.entry("printf '" + head + "./a mode=9\\n' | zstd -q >R", "has a number that cannot be"),
                Map.entry("printf '" + head + "./a uid=4294967296\\n' | zstd -q >R", "has a number that cannot be"),
                Map.entry(
                        "printf '" + head + "./a size=9223372036854775808\\n' | zstd -q >R",
                        "has a number that cannot"),
                Map.entry("printf '" + head + "./a gid=\\n' | zstd -q >R", "has a number that cannot be"),
                Map.entry("printf '" + head + "./a gid=-1\\n' | zstd -q >R", "has a number that cannot be"),
                Map.entry("printf '" + head + "./a time=1\\n' | zstd -q >R", "has no valid time"),
                Map.entry("printf '" + head + "./a time=1:000000000\\n' | zstd -q >R", "has no valid time"),
                Map.entry("printf '" + head + "./a time=.000000000\\n' | zstd -q >R", "has a number that cannot be"),
                Map.entry("printf '" + head + "./a time=--1.000000000\\n' | zstd -q >R", "has a number that cannot"),
                Map.entry("printf '" + head + "./a typ=file\\n' | zstd -q >R", "has an unknown keyword"),
                Map.entry("printf '" + head + "./a\\\\0 type=file\\n' | zstd -q >R", "has an escape that is cut off"),
                Map.entry(
                        "printf '" + head + "./a\\\\000 type=file\\n' | zstd -q >R",
                        "has a byte that no name can have"),
                Map.entry(
                        "(printf '" + head + "./'; head -c 100000 /dev/zero | tr '\\0' a) | zstd -q >R", "is too long"),
                Map.entry("head -c 100 R >x; cp x R", ""),
                Map.entry("truncate -s 2G R", "is in a file of more than"),
                Map.entry("rm R; mkdir R", "is no file"),
                Map.entry("rm R; mkfifo R", "is no file"),
                Map.entry("rm R; ln -s /etc/passwd R", "cannot be read"));
        for (Map.Entry<String, String> each : cases.entrySet()) {
            close();
            makeTree();
            root.shell(each.getKey().replaceAll("\\bR\\b", ".pve.oci.mtree.zst"));
            assertThatThrownBy(this::compare)
                    .as(each.getKey())
                    .isInstanceOf(RecordException.class)
                    .hasMessageContaining(".pve.oci.mtree.zst is damaged: line ")
                    .hasMessageContaining(each.getValue());
        }
    }

    @Test
    void a_record_that_unpacks_to_too_much_is_damaged() throws IOException {
        byte[] record = "#mtree v2.0\n/set uid=0 gid=0\n".getBytes(StandardCharsets.US_ASCII);
        assertThat(new MtreeReader(new ByteArrayInputStream(record), 10, record.length).next())
                .isNull();
        assertThatThrownBy(() -> new MtreeReader(new ByteArrayInputStream(record), 10, record.length - 1))
                .isInstanceOf(RecordException.class)
                .hasMessageContaining("is beyond the limit of");
    }

    @Test
    void a_very_deep_and_a_very_wide_tree_are_walked() throws IOException {
        root.shell("mkdir -p $(printf 'd/%.0s' $(seq 1500))");
        root.shell("mkdir wide; cd wide; seq 1 5000 | xargs touch");

        assertThat(compare().count()).isEqualTo(6501);
    }
}
