package pve.oci.update;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import pve.oci.linux.Fd;
import pve.oci.rootfs.Steps;
import pve.oci.rootfs.TemporaryRoot;

/** Somebody else fills the file system while names are moved. */
class FullFileSystemTest {
    private static final String OLD = "mkdir -p full/bin full/srv/db full/srv/web; cd full; echo one >bin/app;"
            + " echo customer >srv/db/data; touch -d @5 srv/db/data; echo one >srv/web/index";
    private static final String NEW = "mkdir -p bin srv/api; echo two >bin/app; echo two >srv/api/index";
    private static final String LIST = "cd full; find . -path './.pve*' -prune -o -type f -exec sha256sum {} + | sort";
    private static final String FILL = "cat /dev/zero >>full/srv/db/data 2>/dev/null || true";
    private static final String EMPTY = "echo customer >full/srv/db/data; touch -d @5 full/srv/db/data";

    private TemporaryRoot root;

    @BeforeEach
    void makeFileSystem() throws IOException {
        root = new TemporaryRoot();
        root.shell("mkdir full; mount -t tmpfs -o size=1m none full; (" + OLD + ")");
    }

    @AfterEach
    void unmount() throws IOException {
        root.shell("umount -l full");
        root.close();
    }

    /** Returns a step that fills the file system at its call of that number. */
    private Runnable fillAt(int number, int[] count) {
        return () -> {
            if (count[0]++ == number) {
                try {
                    root.shell(FILL);
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            }
        };
    }

    private void stage(Fd fd) throws IOException {
        new InPlaceUpdate(fd, new Steps(Long.MAX_VALUE)).stage(List.of("/srv/db"), List.of(), directory -> {
            directory.close();
            root.shell("cd full/.pve.oci.update/new; " + NEW);
        });
    }

    private interface Move {
        void run(InPlaceUpdate update) throws IOException;
    }

    /** Returns how many steps there were. */
    private int fill(Fd fd, int number, Move move) throws IOException {
        int[] count = {0};
        try {
            move.run(new InPlaceUpdate(fd, new Steps(Long.MAX_VALUE), fillAt(number, count)));
        } catch (IOException e) {
            assertThat(e).as("step " + number).hasMessageContaining("ENOSPC");
        }
        return count[0];
    }

    @Test
    void an_update_is_taken_back_or_goes_on() throws IOException {
        String before = root.shell(LIST);
        int steps = Integer.MAX_VALUE;
        for (int number = 0; number < steps; number++) {
            try (Fd fd = TemporaryRoot.open(root.path("full"))) {
                stage(fd);
                steps = fill(fd, number, InPlaceUpdate::commit);
                InPlaceUpdate update = new InPlaceUpdate(fd, new Steps(Long.MAX_VALUE));
                boolean isBack = update.abandon() == null;
                root.shell(EMPTY);
                if (!isBack) {
                    update.rollBack();
                }
                assertThat(root.shell(LIST)).as("full at step " + number).isEqualTo(before);
            }
        }
        assertThat(steps).isGreaterThan(8);
    }

    @Test
    void a_rollback_goes_on() throws IOException {
        String before = root.shell(LIST);
        int steps = Integer.MAX_VALUE;
        for (int number = 0; number < steps; number++) {
            try (Fd fd = TemporaryRoot.open(root.path("full"))) {
                stage(fd);
                InPlaceUpdate update = new InPlaceUpdate(fd, new Steps(Long.MAX_VALUE));
                update.commit();
                update.finish();
                steps = fill(fd, number, InPlaceUpdate::rollBack);
                if (update.phase() == null || update.abandon() == Phase.SWITCHED) {
                    root.shell(EMPTY);
                    if (update.phase() != null || update.hasPrevious()) {
                        update.rollBack();
                    }
                }
                root.shell(EMPTY);
                assertThat(root.shell(LIST)).as("full at step " + number).isEqualTo(before);
            }
        }
    }
}
