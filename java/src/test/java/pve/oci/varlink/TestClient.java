package pve.oci.varlink;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.newsclub.net.unix.AFUNIXSelectorProvider;
import org.newsclub.net.unix.AFUNIXSocketAddress;
import org.newsclub.net.unix.AFUNIXSocketChannel;
import pve.oci.json.Json;
import pve.oci.json.JsonLimits;
import pve.oci.linux.ChannelSocket;
import pve.oci.linux.Fd;

/** A varlink client for tests, that can also misbehave. */
public final class TestClient implements AutoCloseable {
    public static final long PATIENCE_MILLIS = 20_000;

    private final AFUNIXSocketChannel socket;
    private final FrameChannel channel;

    public TestClient(AFUNIXSocketChannel socket) throws IOException {
        this.socket = socket;
        this.channel = FrameChannel.of(ChannelSocket.of(socket), 64 << 20);
    }

    /** Two sockets that are each other's peers. */
    static List<AFUNIXSocketChannel> pair() throws IOException {
        var pair = AFUNIXSelectorProvider.provider().openSocketChannelPair();
        return List.of(pair.getSocket1(), pair.getSocket2());
    }

    public static TestClient connect(String path) throws IOException {
        return new TestClient(AFUNIXSocketChannel.open(AFUNIXSocketAddress.of(Path.of(path))));
    }

    public FrameChannel channel() {
        return channel;
    }

    public void send(Map<String, ?> call, Fd... descriptors) throws IOException {
        channel.send(Json.write(call), List.of(descriptors), PATIENCE_MILLIS);
    }

    /** As shutdown(2) does it: the server sees the end, and may still answer. */
    public void endSending() throws IOException {
        socket.shutdownOutput();
    }

    /** Raw bytes, NUL not added. */
    public void sendRaw(String bytes) throws IOException {
        byte[] raw = bytes.getBytes(StandardCharsets.UTF_8);
        ByteBuffer left = ByteBuffer.wrap(raw);
        while (left.hasRemaining()) {
            socket.write(left);
        }
    }

    /** The next reply; null at the connection's end. */
    public @Nullable Map<String, @Nullable Object> receive() throws IOException {
        Frame frame = channel.receive(PATIENCE_MILLIS);
        if (frame == null) {
            if (channel.hasEnded()) {
                return null;
            }
            throw new IOException("no reply in time");
        }
        frame.close();
        return Json.parseObject(frame.json(), new JsonLimits(100, 64 << 20, 1 << 20));
    }

    /** One call, one reply. */
    public @Nullable Map<String, @Nullable Object> call(String method, Map<String, ?> parameters, Fd... descriptors)
            throws IOException {
        send(Map.of("method", method, "parameters", parameters), descriptors);
        return receive();
    }

    public static Map<String, @Nullable Object> more(String method, Map<String, ?> parameters) {
        Map<String, @Nullable Object> call = new LinkedHashMap<>();
        call.put("method", method);
        call.put("parameters", parameters);
        call.put("more", true);
        return call;
    }

    @Override
    public void close() {
        channel.close();
    }
}
