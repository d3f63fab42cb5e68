package pve.oci.rootfs;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;

class DirectoryCacheTest {
    private final TemporaryRoot root;
    private final DirectoryCache cache = new DirectoryCache(3);

    DirectoryCacheTest() throws IOException {
        root = new TemporaryRoot();
    }

    @AfterEach
    void close() throws IOException {
        cache.close();
        root.close();
    }

    /** Puts a directory in, reached by that path, whose path without links is the other. */
    private Directory put(String path, String linkFree, LinkUse use) throws IOException {
        root.shell("mkdir -p " + linkFree);
        Fd fd = TemporaryRoot.open(root.path(linkFree));
        FileStatus status = new FileStatus().read(fd.number());
        Directory directory = new Directory(fd, status, linkFree.getBytes(UTF_8), use, false, false);
        cache.put(path.getBytes(UTF_8), path.length(), directory);
        return directory;
    }

    private Directory put(String path) throws IOException {
        return put(path, path, LinkUse.NONE);
    }

    private Directory putViaLink(String path, String linkFree) throws IOException {
        return put(path, linkFree, new LinkUse(new long[] {1}, new long[0]));
    }

    private @Nullable Directory get(String path) {
        return cache.get(path.getBytes(UTF_8), path.length());
    }

    @Test
    void closes_the_least_recently_used() throws IOException {
        Directory a = put("a");
        Directory b = put("b");
        put("c");
        assertThat(get("a")).isSameAs(a);
        put("d");

        assertThat(get("b")).isNull();
        assertThat(b.fd().isOpen()).isFalse();
        assertThat(get("a")).isSameAs(a);
    }

    @Test
    void forgets_what_a_removed_link_led_to_but_only_at_the_next_look_up() throws IOException {
        put("a");
        Directory viaLink = putViaLink("l/x", "a/x");
        cache.forgetLinks();
        assertThat(viaLink.fd().isOpen()).isTrue();

        assertThat(get("l/x")).isNull();
        assertThat(viaLink.fd().isOpen()).isFalse();
        assertThat(get("a")).isNotNull();
    }

    @Test
    void forgets_a_removed_tree_by_every_path() throws IOException {
        put("d/e");
        put("de");
        putViaLink("l", "d/e/f");
        cache.forgetTree("d".getBytes(UTF_8));

        assertThat(get("d/e")).isNull();
        assertThat(get("l")).isNull();
        assertThat(get("de")).isNotNull();
    }

    @Test
    void forgets_everything_below_the_root() throws IOException {
        put("a");
        put("b/c");
        cache.forgetTree(new byte[0]);

        assertThat(get("a")).isNull();
        assertThat(get("b/c")).isNull();
    }

    @Test
    void forgets_other_paths_to_a_directory_that_has_changed() throws IOException {
        putViaLink("l", "d");
        Directory changed = put("d");
        put("other");
        cache.forgetAliases(changed);

        assertThat(get("l")).isNull();
        assertThat(get("d")).isSameAs(changed);
        assertThat(get("other")).isNotNull();
    }

    @Test
    void a_path_that_was_found_last_is_not_taken_for_another() throws IOException {
        put("a/b");
        Directory c = put("a/c");
        assertThat(get("a/b")).isNotNull();
        assertThat(get("a/c")).isSameAs(c);
        assertThat(get("a/")).isNull();
    }
}
