package pve.oci.update;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import pve.oci.linux.Fd;
import pve.oci.rootfs.Steps;
import pve.oci.rootfs.TemporaryRoot;

class InPlaceUpdateTest {
    /**
     * The old tree. /srv/db and /etc/hosts are kept.
     *
     * <pre>
     * bin/app        one           usr/lib/old       only in the old image
     * etc/hosts      host          etc/app.conf      one
     * srv/db/data    customer      srv/web/index     one
     * link -> bin    fifo          set-id            04755
     * </pre>
     */
    private static final String OLD = "mkdir -p bin usr/lib etc srv/db srv/web; echo one >bin/app; echo x >usr/lib/old;"
            + " echo host >etc/hosts; echo one >etc/app.conf; echo customer >srv/db/data; ln srv/db/data srv/db/again;"
            + " echo one >srv/web/index; ln -s bin link; mkfifo fifo; echo s >set-id; chown 5:6 set-id;"
            + " chmod 4755 set-id; setfattr -n user.k -v v etc/app.conf; chown 7:7 srv/db; chmod 2770 srv/db;"
            + " chmod 750 srv; chown 0:9 srv; touch -d @1000.5 usr/lib usr etc srv srv/web bin; touch -d @2000.25 .";

    private static final String NEW =
            "mkdir -p bin usr/lib etc/extra srv/db srv/api; echo two >bin/app; echo y >usr/lib/new;"
                    + " echo image >etc/hosts; echo two >etc/app.conf; echo initial >srv/db/data; echo two"
                    + " >srv/api/index;"
                    + " ln -s usr link; chmod 711 srv; find . -depth -exec touch -hd @3000 {} +; touch -d @4000 .";

    /** Lists a tree, without the directories of updates. */
    private static final String LIST = "find . -mindepth 0 -path ./.pve.oci.update -prune -o -path ./.pve.oci.previous"
            + " -prune -o ! -name .pve.oci.mtree.zst -printf '%p %y %m %U %G %n %s %T@ %l\\n' | sed -E '/ d /"
            + "s/( d [0-7]+ [0-9]+ [0-9]+ )[0-9]+"
            + " [0-9]+/\\1/' | sort; find . -path ./.pve.oci.update -prune -o -path ./.pve.oci.previous -prune -o"
            + " -type f ! -name .pve.oci.mtree.zst -print0 | sort -z | xargs -0 sha256sum;"
            + " find . -path ./.pve.oci.update -prune -o -path ./.pve.oci.previous -prune -o -print0 | sort -z"
            + " | xargs -0 getfattr -hd";

    private static final Steps STEPS = new Steps(Long.MAX_VALUE);

    private TemporaryRoot root;
    private Fd fd;

    @BeforeEach
    void makeOldTree() throws IOException {
        root = new TemporaryRoot();
        root.shell(OLD);
        fd = TemporaryRoot.open(root.path());
    }

    @AfterEach
    void close() throws IOException {
        fd.close();
        root.close();
    }

    private InPlaceUpdate update() {
        return new InPlaceUpdate(fd, STEPS);
    }

    private void stage(String script, String... kept) throws IOException {
        update().stage(List.of(kept), List.of(), directory -> {
            directory.close();
            root.shell("cd .pve.oci.update/new; " + script);
        });
    }

    private void update(String script, String... kept) throws IOException {
        stage(script, kept);
        update().commit();
        update().finish();
    }

    private String tree() throws IOException {
        return root.shell(LIST);
    }

    private String cat(String files) throws IOException {
        return root.shell("cat " + files);
    }

    @Test
    void brings_the_new_tree_and_keeps_what_was_asked_for() throws IOException {
        update(NEW, "/srv/db", "etc/hosts");

        assertThat(cat("bin/app etc/app.conf etc/hosts srv/db/data srv/api/index usr/lib/new"))
                .isEqualTo("two\ntwo\nhost\ncustomer\ntwo\ny\n");
        assertThat(root.shell("ls -A; ls srv usr/lib; readlink link"))
                .isEqualTo(".pve.oci.mtree.zst\n.pve.oci.previous\nbin\netc\nlink\nsrv\nusr\n"
                        + "srv:\napi\ndb\n\nusr/lib:\nnew\nusr\n".replace("srv:", "srv:"));
        assertThat(root.shell("stat -c '%n %a %u %g %Y' . srv srv/db etc usr"))
                .isEqualTo(". 755 0 0 4000\nsrv 711 0 0 3000\n"
                        + root.shell("stat -c '%n %a %u %g %Y' srv/db")
                        + "etc 755 0 0 3000\nusr 755 0 0 3000\n");
        assertThat(root.shell("stat -c '%a %u %g %h' srv/db srv/db/data | head -1"))
                .startsWith("2770 7 7");
    }

    @Test
    void goes_back_exactly() throws IOException {
        String before = tree();
        update(NEW, "/srv/db", "etc/hosts");
        assertThat(tree()).isNotEqualTo(before);

        update().rollBack();

        assertThat(tree()).isEqualTo(before);
        assertThat(root.shell("ls -A")).doesNotContain("pve.oci");
    }

    @Test
    void what_is_kept_stays_as_it_is_now_when_it_goes_back() throws IOException {
        update(NEW, "/srv/db");
        root.shell("echo newer >srv/db/data; echo more >srv/db/more");

        update().rollBack();

        assertThat(cat("srv/db/data srv/db/again srv/db/more bin/app")).isEqualTo("newer\nnewer\nmore\none\n");
    }

    @Test
    void goes_back_although_a_directory_above_what_was_kept_was_removed() throws IOException {
        update(NEW, "/srv/db");
        root.shell("rm -r srv");

        update().rollBack();

        assertThat(root.shell("stat -c '%a %u %g' srv; cat srv/web/index")).isEqualTo("750 0 9\none\n");
    }

    @Test
    void does_not_go_back_through_a_link_that_somebody_made() throws IOException {
        update(NEW, "/srv/db");
        root.shell("mv srv other; ln -s other srv");

        String before = tree();

        assertThatThrownBy(() -> update().rollBack()).hasMessageContaining("'/srv' was replaced by a file or a link");

        assertThat(tree()).isEqualTo(before);
        root.shell("rm srv; mv other srv");
        update().rollBack();
        assertThat(cat("srv/web/index srv/db/data bin/app")).isEqualTo("one\ncustomer\none\n");
    }

    @Test
    void can_be_taken_back_before_the_switch() throws IOException {
        String before = tree();
        stage(NEW, "/srv/db");
        assertThat(update().phase()).isEqualTo(Phase.STAGED);

        assertThat(update().abandon()).isNull();

        assertThat(tree()).isEqualTo(before);
        assertThat(update().phase()).isNull();
    }

    /** A power cut: nothing happens after a step, and the next call starts from what is there. */
    private static final class Cut extends RuntimeException {
        private static final long serialVersionUID = 1;
    }

    private InPlaceUpdate brokenOffBefore(int step) {
        int[] left = {step};
        return new InPlaceUpdate(fd, STEPS, () -> {
            if (left[0]-- == 0) {
                throw new Cut();
            }
        });
    }

    private interface UpdateAction {
        void run(InPlaceUpdate update) throws IOException;
    }

    /** Runs the action with a power cut before a step; returns whether it got that far. */
    private boolean isCut(int step, UpdateAction action) throws IOException {
        try {
            action.run(brokenOffBefore(step));
            return false;
        } catch (Cut e) {
            return true;
        }
    }

    @Test
    void finishes_after_a_power_cut_at_every_step() throws IOException {
        update(NEW, "/srv/db", "etc/hosts");
        String wanted = tree();
        int steps = 0;
        boolean isCut = true;
        while (isCut) {
            update().rollBack();
            stage(NEW, "/srv/db", "etc/hosts");
            isCut = isCut(steps, InPlaceUpdate::commit);
            update().commit();
            update().finish();
            assertThat(tree()).as("cut before step " + steps).isEqualTo(wanted);
            steps++;
        }
        assertThat(steps).isGreaterThan(15);
    }

    @Test
    void goes_back_after_a_power_cut_at_every_step() throws IOException {
        String before = tree();
        int steps = 0;
        boolean isCut = true;
        while (isCut) {
            stage(NEW, "/srv/db", "etc/hosts");
            isCut = isCut(steps, InPlaceUpdate::commit);
            if (isCut) {
                update().abandon();
            } else {
                update().rollBack();
            }
            assertThat(tree()).as("cut before step " + steps).isEqualTo(before);
            steps++;
        }
    }

    @Test
    void a_rollback_that_is_cut_at_every_step_is_gone_on_with() throws IOException {
        String before = tree();
        int steps = 0;
        boolean isCut = true;
        while (isCut) {
            update(NEW, "/srv/db", "etc/hosts");
            isCut = isCut(steps, InPlaceUpdate::rollBack);
            if (isCut) {
                if (update().phase() == null) {
                    update().rollBack();
                } else {
                    update().abandon();
                }
            }
            assertThat(tree()).as("cut before step " + steps).isEqualTo(before);
            steps++;
        }
    }

    @Test
    void a_cut_while_going_back_from_a_cut_is_no_different() throws IOException {
        String before = tree();
        for (int first = 0; first < 30; first += 3) {
            for (int second = 0; second < 20; second += 2) {
                stage(NEW, "/srv/db", "etc/hosts");
                if (isCut(first, InPlaceUpdate::commit)) {
                    isCut(second, InPlaceUpdate::abandon);
                    update().abandon();
                } else {
                    update().rollBack();
                }
                assertThat(tree()).as(first + " " + second).isEqualTo(before);
            }
        }
    }

    @Test
    void a_second_update_replaces_what_can_be_gone_back_to() throws IOException {
        update(NEW, "/srv/db");
        String second = tree();
        update("mkdir bin; echo three >bin/app", "/srv/db");
        assertThat(cat("bin/app srv/db/data")).isEqualTo("three\ncustomer\n");

        update().rollBack();

        assertThat(tree()).isEqualTo(second);
        assertThatThrownBy(() -> update().rollBack()).hasMessageContaining("there is no earlier tree");
    }

    @Test
    void forgets_the_earlier_tree() throws IOException {
        update(NEW);
        String tree = tree();

        update().forget();

        assertThat(tree()).isEqualTo(tree);
        assertThat(root.shell("ls -A")).doesNotContain("previous");
    }

    @Test
    void a_failure_while_staging_changes_nothing() throws IOException {
        String before = tree();
        assertThatThrownBy(() -> update().stage(List.of(), List.of(), directory -> {
                    directory.close();
                    root.shell("cd .pve.oci.update/new; " + NEW);
                    throw new IOException("disk full");
                }))
                .hasMessage("disk full");

        assertThat(tree()).isEqualTo(before);
    }

    @Test
    void one_of_two_hard_linked_names_is_kept() throws IOException {
        root.shell("ln srv/db/data bin/data");
        update(NEW, "/srv/db/data");

        assertThat(cat("srv/db/data")).isEqualTo("customer\n");
        assertThat(cat(".pve.oci.previous/old/bin/data")).isEqualTo("customer\n");
        update().rollBack();
        assertThat(root.shell("test srv/db/data -ef bin/data && test srv/db/data -ef srv/db/again && echo same"))
                .isEqualTo("same\n");
    }

    @Test
    void a_kept_path_is_found_through_links() throws IOException {
        root.shell(
                "mkdir -p mnt/disk; echo far >mnt/disk/f; mkdir var; ln -s /mnt/disk var/data; ln -s ../var/data opt");
        update("mkdir -p var bin; ln -s /mnt/disk var/data", "/opt");

        assertThat(cat("mnt/disk/f")).isEqualTo("far\n");
    }

    @Test
    void a_link_that_is_kept_stays_with_what_it_leads_to() throws IOException {
        root.shell("mkdir -p mnt/disk; echo far >mnt/disk/f; mkdir -p var/lib; ln -s /mnt/disk var/lib/data");
        update("mkdir -p var/lib/data; echo initial >var/lib/data/f", "/var/lib/data");

        assertThat(cat("mnt/disk/f")).isEqualTo("far\n");
        assertThat(root.shell("readlink var/lib/data")).isEqualTo("/mnt/disk\n");
    }

    @Test
    void refuses_what_the_new_image_excludes() throws IOException {
        String before = tree();
        assertThatThrownBy(() -> stage("echo file >srv", "/srv/db"))
                .hasMessage("'/srv' is a directory above something that is kept, and a file or a link in the new image:"
                        + " move what is kept elsewhere, or do not keep it");
        assertThatThrownBy(() -> stage("mkdir data; ln -s data srv", "/srv/db")).hasMessageContaining("'/srv");
        assertThatThrownBy(() -> stage(NEW, "/")).hasMessageContaining("the whole root file system");
        assertThatThrownBy(() -> stage(NEW, "/srv/../..")).hasMessageContaining("the whole root file system");
        root.shell("touch -d @2000.25 .");
        assertThat(tree()).isEqualTo(before);
    }

    @Test
    void a_volume_inside_a_volume_is_covered_by_the_outer_one() throws IOException {
        root.shell("mkdir srv/db/inner; echo in >srv/db/inner/f");
        update(NEW, "/srv/db", "/srv/db/inner");

        assertThat(cat("srv/db/inner/f")).isEqualTo("in\n");
    }

    @Test
    void a_path_that_is_not_there_comes_from_the_image() throws IOException {
        update(NEW, "/srv/api");

        assertThat(cat("srv/api/index")).isEqualTo("two\n");
    }

    @Test
    void what_was_planted_in_place_of_its_folders_is_not_used() throws IOException {
        List<String> traps = List.of(
                "ln -s / .pve.oci.update",
                "mkfifo .pve.oci.update",
                "echo x >.pve.oci.update",
                "mkdir -m 777 .pve.oci.update",
                "mkdir -m 700 .pve.oci.update; chown 9 .pve.oci.update",
                "mkdir -m 700 .pve.oci.update; echo nonsense >.pve.oci.update/journal",
                "mkdir -m 700 .pve.oci.update; mkdir .pve.oci.update/journal",
                """
                mkdir -m 700 .pve.oci.update
                echo '{"phase": "in", "kept": [], "directories": [7]}' >.pve.oci.update/journal
                """);
        for (String trap : traps) {
            root.shell(trap);
            assertThatThrownBy(() -> update().phase()).as(trap).isInstanceOf(IOException.class);
            assertThatThrownBy(() -> update().commit()).as(trap).isInstanceOf(IOException.class);
            root.shell("rm -rf .pve.oci.update");
        }
    }

    @Test
    void a_journal_that_names_paths_outside_reaches_none() throws IOException {
        root.shell("""
                mkdir -m 700 -p .pve.oci.update/new
                cat >.pve.oci.update/journal <<'END'
                {"phase": "in", "kept": [], "directories": [{"path": "../../../../../tmp",
                "before": {"mode": 511, "uid": 0, "gid": 0, "seconds": 0, "nanos": 0, "extended": {}}}]}
                END
                """);

        assertThatThrownBy(() -> update().commit()).isInstanceOf(IOException.class);
    }
}
