package pve.oci.layer;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static pve.oci.rootfs.EntryPaths.path;

import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import pve.oci.archive.Layer;
import pve.oci.linux.CString;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.linux.Poll;
import pve.oci.oci.Descriptor;
import pve.oci.oci.Digest;
import pve.oci.rootfs.FileMetadata;
import pve.oci.rootfs.Rootfs;
import pve.oci.rootfs.Steps;
import pve.oci.rootfs.TemporaryRoot;

/**
 * With threads of its own (3) and without (0). Without, the helpers write, and a thread that waits for a free batch.
 */
@Timeout(30)
class DeferredWritesTest {
    private static final Digest DIGEST = new Digest("sha256", "0".repeat(64));
    private static final Layer LAYER = new Layer(0, 1, new Descriptor("t", DIGEST, 0, Map.of(), null), DIGEST, () -> {
        throw new IllegalStateException("nothing is read here");
    });
    private static final int EBADF = 9;
    private static final int FILES = 1500;
    private static final String CONTENT = "content";
    private static final int MORE_THAN_A_PIPE_HOLDS = 128 << 10;

    private final TemporaryRoot root;
    private final Rootfs rootfs;
    private final Source source = new Source();

    DeferredWritesTest() throws IOException {
        root = new TemporaryRoot();
        rootfs = new Rootfs(root.open(), new Steps(1_000_000));
        rootfs.beginLayer(true, true);
    }

    @AfterEach
    void close() throws IOException {
        source.slot.discard();
        rootfs.close();
        root.close();
    }

    /** One slot that holds the content of every file, read by the thread that applies and by each file's writer. */
    private static final class Source implements SlotSource {
        private final AtomicInteger freed = new AtomicInteger();
        private final Slot slot = new Slot(Slot.CONTENT_MEMORY, free -> freed.incrementAndGet());
        private @Nullable Helper helper;
        private int wakes;

        Source() {
            slot.reset(LAYER).publish(1);
            slot.memory.buffer().put(CONTENT.getBytes(UTF_8));
        }

        @Override
        public void use(Helper writes) {
            helper = writes;
        }

        @Override
        public void wakeHelpers() {
            wakes++;
        }

        @Override
        public Slot retain() {
            slot.retain();
            return slot;
        }
    }

    private void add(DeferredWrites writes, String name, FileMetadata metadata) throws IOException {
        add(writes, name, metadata, rootfs.createFile(rootfs.root(), path(name), metadata), CONTENT.length());
    }

    private void add(DeferredWrites writes, String name, FileMetadata metadata, Fd fd, int size) throws IOException {
        writes.file().set(LAYER, path(name), metadata, false);
        writes.add(fd, source, source.slot.memory.address(), size);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 3})
    void write_content_then_owner_mode_and_time(int threads) throws IOException {
        try (DeferredWrites writes = new DeferredWrites(threads)) {
            writes.begin(source);
            add(writes, "a", new FileMetadata(06751, 5, 6, 1234, 0));
            add(writes, "b", new FileMetadata(0600, 0, 0, 5678, 0));
            writes.drain();

            assertThat(root.shell("stat -c '%n %a %u:%g %Y' a b; cat a b"))
                    .isEqualTo("a 6751 5:6 1234\nb 600 0:0 5678\n" + CONTENT + CONTENT);
            assertThat(writes.failure()).isNull();
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 3})
    void take_more_files_than_all_batches_hold(int threads) throws IOException {
        try (DeferredWrites writes = new DeferredWrites(threads)) {
            writes.begin(source);
            for (int i = 0; i < FILES; i++) {
                add(writes, "file" + i, new FileMetadata(0644, 0, 0, i, 0));
            }
        }
        assertThat(root.shell("cat file* | wc -c")).isEqualTo(FILES * CONTENT.length() + "\n");
        assertThat(root.shell("stat -c %Y file1499")).isEqualTo("1499\n");
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 3})
    void give_the_slot_back_when_the_last_file_of_it_is_written(int threads) throws IOException {
        try (DeferredWrites writes = new DeferredWrites(threads)) {
            writes.begin(source);
            add(writes, "a", new FileMetadata(0644, 0, 0, 0, 0));
            add(writes, "empty", new FileMetadata(0644, 0, 0, 0, 0), open("empty"), 0);
            source.slot.release();
            assertThat(source.freed).hasValue(0);
            writes.drain();
            assertThat(source.freed).hasValue(1);
        }
        assertThat(Files.size(root.path("empty"))).isZero();
    }

    private Fd open(String name) throws IOException {
        return rootfs.createFile(rootfs.root(), path(name), new FileMetadata(0644, 0, 0, 0, 0));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 3})
    void tell_which_file_could_not_be_written_and_write_none_after_it(int threads) throws IOException {
        Files.createFile(root.path("read-only"));
        try (DeferredWrites writes = new DeferredWrites(threads)) {
            writes.begin(source);
            FileMetadata metadata = new FileMetadata(0644, 0, 0, 0, 0);
            add(writes, "read-only", metadata, TemporaryRoot.open(root.path("read-only")), 1);
            writes.drain();
            DeferredWrites.Failure failure = Objects.requireNonNull(writes.failure());
            assertThat(failure.reason().errno()).isEqualTo(EBADF);
            assertThat(failure.layer()).isSameAs(LAYER);
            assertThat(failure.entryPath()).isEqualTo("read-only");

            Fd after = open("after");
            add(writes, "after", metadata, after, CONTENT.length());
            source.slot.release();
            writes.drain();
            assertThat(Files.size(root.path("after"))).isZero();
            assertThat(source.freed).hasValue(1);
            assertThat(writes.failure()).isSameAs(failure);
        }
    }

    /** The write ends of two FIFOs, so that two threads are in the middle of a file at the same time. */
    @Test
    void tell_of_the_first_of_two_files_that_fail() throws IOException {
        root.shell("mkfifo first second");
        try (DeferredWrites writes = new DeferredWrites(3)) {
            writes.begin(source);
            try (Fd second = openFifo("second", Libc.O_RDONLY)) {
                try (Fd first = openFifo("first", Libc.O_RDONLY)) {
                    addUnwritable(writes, "first");
                    addUnwritable(writes, "second");
                    for (Fd reader : List.of(first, second)) {
                        assertThat(Poll.await(reader.number(), Poll.POLLIN, 20_000))
                                .isNotZero();
                    }
                }
                while (writes.failure() == null) {
                    Thread.onSpinWait();
                }
            }
            writes.drain();
            assertThat(writes.failure()).extracting(x -> x.entryPath()).isEqualTo("first");
        }
    }

    /** A file whose writing begins, and ends with EPIPE when the FIFO's reader is closed. */
    private void addUnwritable(DeferredWrites writes, String name) throws IOException {
        Fd writer = openFifo(name, Libc.O_WRONLY);
        add(writes, name, new FileMetadata(0644, 0, 0, 0, 0), writer, MORE_THAN_A_PIPE_HOLDS);
        writes.flush();
    }

    private Fd openFifo(String name, int access) throws IOException {
        int flags = access | Libc.O_CLOEXEC | (access == Libc.O_RDONLY ? Libc.O_NONBLOCK : 0);
        String path = root.path(name).toString();
        return new Fd(CString.lend(path, address -> Libc.openat(Libc.AT_FDCWD, address, flags, 0)));
    }

    @Test
    void without_threads_hand_over_whole_batches_to_the_helpers() throws IOException {
        try (DeferredWrites writes = new DeferredWrites(1)) {
            writes.begin(source);
            assertThat(writes.hasThreads()).isFalse();
            assertThat(source.helper).isSameAs(writes);
            add(writes, "a", new FileMetadata(0644, 0, 0, 0, 0));
            assertThat(writes.tryStep()).isFalse();
            assertThat(Files.size(root.path("a"))).isZero();

            writes.flush();
            assertThat(source.wakes).isEqualTo(1);
            assertThat(writes.tryStep()).isTrue();
            assertThat(Files.readString(root.path("a"))).isEqualTo(CONTENT);
            assertThat(writes.tryStep()).isFalse();

            for (int i = 0; i < 64; i++) {
                add(writes, "file" + i, new FileMetadata(0644, 0, 0, 0, 0));
            }
            assertThat(source.wakes).isEqualTo(2);
            assertThat(writes.tryStep()).isTrue();
        }
    }

    @Test
    void follow_the_descriptor_whatever_happens_to_the_name() throws IOException {
        try (DeferredWrites writes = new DeferredWrites(0)) {
            writes.begin(source);
            add(writes, "a", new FileMetadata(04755, 7, 7, 0, 0));
            root.shell("mv a moved; echo other > a");
        }
        assertThat(root.shell("stat -c '%a %u' a moved; cat a moved")).isEqualTo("644 0\n4755 7\nother\n" + CONTENT);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 3})
    void an_interrupt_does_not_keep_the_rest_from_being_written(int threads) throws IOException {
        DeferredWrites writes = new DeferredWrites(threads);
        writes.begin(source);
        add(writes, "a", new FileMetadata(0644, 0, 0, 0, 0));
        Thread.currentThread().interrupt();
        writes.close();

        assertThat(Thread.interrupted()).isTrue();
        assertThat(Files.readString(root.path("a"))).isEqualTo(CONTENT);
    }
}
