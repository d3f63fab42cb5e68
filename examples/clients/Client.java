import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.newsclub.net.unix.AFUNIXSocket;
import org.newsclub.net.unix.AFUNIXSocketAddress;

/**
 * A client of pve-ocid in Java, with junixsocket and Jackson.
 *
 * <p>usage: java -cp 'LIBRARIES/*' Client.java inspect ARCHIVE | extract ARCHIVE ROOTFS | cancel JOB
 */
public final class Client {
    private static final List<?> MAP = List.of(Map.of("inside", 0, "outside", 100_000, "count", 65_536));
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] words) throws IOException {
        switch (words[0]) {
            case "inspect" -> call("InspectImage", Map.of("archivePath", path(words[1])));
            case "extract" -> call(
                    "ParseAndExtractImage",
                    Map.of("archivePath", path(words[1]), "rootDirectory", path(words[2]),
                            "uidMap", MAP, "gidMap", MAP));
            default -> call("CancelJob", Map.of("id", words[1]));
        }
    }

    private static String path(String name) {
        return new File(name).getAbsolutePath();
    }

    /** Prints each reply. When this program ends early, its connection is closed, which cancels the job. */
    private static void call(String method, Map<String, ?> parameters) throws IOException {
        String path = Optional.ofNullable(System.getenv("PVE_OCI_SOCKET")).orElse("/run/pve-ocid/io.pve.oci");
        try (AFUNIXSocket socket = AFUNIXSocket.connectTo(AFUNIXSocketAddress.of(new File(path)))) {
            Map<String, ?> request = Map.of("method", "io.pve.oci." + method, "parameters", parameters, "more", true);
            ByteArrayOutputStream frame = new ByteArrayOutputStream();
            frame.write(JSON.writeValueAsBytes(request));
            frame.write(0);
            frame.writeTo(socket.getOutputStream());
            BufferedInputStream input = new BufferedInputStream(socket.getInputStream());
            JsonNode reply;
            do {
                frame.reset();
                for (int next = input.read(); next > 0; next = input.read()) {
                    frame.write(next);
                }
                reply = JSON.readTree(frame.toByteArray());
                System.out.println(reply.has("error") ? reply : reply.path("parameters"));
            } while (reply.path("continues").asBoolean());
            System.exit(reply.has("parameters") && !reply.has("error") ? 0 : 1);
        }
    }
}
