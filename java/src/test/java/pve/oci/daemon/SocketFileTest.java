package pve.oci.daemon;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.newsclub.net.unix.AFUNIXServerSocketChannel;
import org.newsclub.net.unix.AFUNIXSocketAddress;
import pve.oci.varlink.TestClient;

class SocketFileTest {
    @TempDir
    Path directory;

    private String path() {
        return directory.resolve("run/socket").toString();
    }

    @Test
    void is_for_its_owner_only_in_a_directory_for_all() throws Exception {
        try (SocketFile file = SocketFile.listen(path())) {
            Path socket = Path.of(file.path());
            assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(socket)))
                    .isEqualTo("rw-------");
            assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(socket.getParent())))
                    .isEqualTo("rwxr-xr-x");
        }
        assertThat(Path.of(path())).doesNotExist();
    }

    @Test
    void replaces_what_a_dead_daemon_left_and_leaves_a_live_one_alone() throws Exception {
        Files.createDirectory(directory.resolve("run"));
        AFUNIXServerSocketChannel left = AFUNIXServerSocketChannel.open();
        left.bind(AFUNIXSocketAddress.of(Path.of(path())));
        left.setDeleteOnClose(false);
        left.close();
        assertThat(Path.of(path())).exists();
        try (SocketFile file = SocketFile.listen(path())) {
            assertThat(file.bound()).isNotNull();
            assertThatThrownBy(() -> SocketFile.listen(path()))
                    .isInstanceOf(IOException.class)
                    .hasMessageContaining("serves it already");
        }
    }

    @Test
    void does_not_replace_a_file_that_is_no_socket() throws Exception {
        Path file = Files.createFile(directory.resolve("precious"));
        assertThatThrownBy(() -> SocketFile.listen(file.toString())).isInstanceOf(IOException.class);
        assertThat(file).exists();
    }

    @Test
    void says_why_it_cannot_listen() throws Exception {
        String name = "x".repeat(300);
        assertThatThrownBy(() -> SocketFile.listen(directory.resolve(name).toString()))
                .hasMessageContaining("File name too long");
        assertThatThrownBy(() -> SocketFile.listen("/sys/socket"))
                .hasMessage("cannot listen on /sys/socket: Operation not permitted");
    }

    @Test
    void takes_systemds_socket_only_when_it_is_meant() throws Exception {
        String pid = Long.toString(ProcessHandle.current().pid());
        assertThat(SocketFile.ofSystemd(null, null)).isNull();
        assertThat(SocketFile.ofSystemd("1", "1")).isNull();
        assertThatThrownBy(() -> SocketFile.ofSystemd(pid, "2")).isInstanceOf(IOException.class);
    }

    /** The whole program, with descriptor 3 as systemd would pass it. */
    @Test
    void program_serves_the_socket_that_it_inherits() throws Exception {
        Path home = Files.createDirectories(directory.resolve("home/lib")).getParent();
        String script = """
                import os, socket, sys
                listener = socket.socket(socket.AF_UNIX)
                listener.bind(sys.argv[1])
                listener.listen(5)
                if listener.fileno() != 3:
                    os.dup2(listener.fileno(), 3)
                os.set_inheritable(3, True)
                os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
                os.execv(sys.argv[2], sys.argv[2:])
                """;
        String socket = directory.resolve("activated").toString();
        Process process = new ProcessBuilder(
                        "python3",
                        "-c",
                        script,
                        socket,
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-Dpve.oci.home=" + home,
                        "-cp",
                        System.getProperty("java.class.path"),
                        "pve.oci.daemon.DaemonMain",
                        "--spares=0",
                        "--worker-socket=" + directory.resolve("worker"))
                .redirectErrorStream(true)
                .redirectOutput(directory.resolve("log").toFile())
                .start();
        try (TestClient client = connect(socket)) {
            assertThat(client.call("org.varlink.service.GetInfo", Map.of())).containsOnlyKeys("parameters");
        }
        process.destroy();
        assertThat(process.waitFor(10, TimeUnit.SECONDS)).isTrue();
        assertThat(process.exitValue())
                .as(Files.readString(directory.resolve("log")))
                .isZero();
        assertThat(Path.of(socket)).exists();
    }

    private static TestClient connect(String socket) throws Exception {
        for (int i = 0; i < 200; i++) {
            try {
                return TestClient.connect(socket);
            } catch (IOException e) {
                Thread.sleep(50);
            }
        }
        throw new AssertionError("no daemon at " + socket);
    }
}
