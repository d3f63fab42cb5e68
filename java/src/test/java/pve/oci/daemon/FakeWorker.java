package pve.oci.daemon;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.json.Json;
import pve.oci.json.JsonLimits;
import pve.oci.linux.ChannelSocket;
import pve.oci.varlink.Frame;
import pve.oci.varlink.FrameChannel;

/**
 * A worker for tests: what it does stands in the "archive", one step a line. Its only argument is the socket that it
 * connects to.
 */
public final class FakeWorker {
    private FakeWorker() {}

    public static void main(String[] arguments) throws Exception {
        FrameChannel channel = FrameChannel.of(ChannelSocket.connect(arguments[0]), 1 << 20);
        say(channel, Map.of("parameters", Map.of("ready", true), "continues", true));
        for (Frame frame = channel.receive(); frame != null; frame = channel.receive()) {
            Map<String, @Nullable Object> call = Json.parseObject(frame.json(), new JsonLimits(80, 1 << 20, 1 << 20));
            Map<?, ?> parameters = (Map<?, ?>) call.get("parameters");
            if ("io.pve.oci.worker.CleanRootDirectory".equals(call.get("method"))) {
                clean(channel, frame, parameters);
            } else {
                play(channel, frame, call);
            }
            frame.close();
        }
    }

    private static Path path(Frame frame, int index) {
        return Path.of("/proc/self/fd/" + frame.descriptors().get(index).number());
    }

    private static void clean(FrameChannel channel, Frame frame, @Nullable Map<?, ?> parameters) throws IOException {
        List<Object> stay = new ArrayList<>();
        if (parameters != null && parameters.get("existing") instanceof List<?> existing) {
            existing.forEach(entry -> stay.add(((Map<?, ?>) entry).get("path")));
        }
        try (var files = Files.newDirectoryStream(path(frame, 0))) {
            for (Path file : files) {
                if (!stay.contains(file.getFileName().toString())) {
                    Files.delete(file);
                }
            }
        }
        say(channel, Map.of("parameters", Map.of()));
    }

    private static void play(FrameChannel channel, Frame frame, Map<String, @Nullable Object> call) throws Exception {
        for (String line : Files.readAllLines(path(frame, 0))) {
            String[] step = line.split(" ", 2);
            String rest = step.length > 1 ? step[1] : "";
            switch (step[0]) {
                case "say" -> sayRaw(channel, rest);
                case "echo" -> // the request, where an image's configuration would be
                    say(channel, Map.of("parameters", Map.of("config", call, "result", FakeReplies.EXTRACT_RESULT)));
                case "chmod" -> Files.setPosixFilePermissions(path(frame, 1), PosixFilePermissions.fromString(rest));
                case "repeat" -> {
                    while (true) {
                        sayRaw(channel, rest);
                    }
                }
                case "touch" -> Files.createFile(path(frame, 1).resolve(rest));
                case "sleep" -> Thread.sleep(Long.parseLong(rest));
                case "exit" -> Runtime.getRuntime().halt(Integer.parseInt(rest));
                case "die" -> {
                    new ProcessBuilder(
                                    "kill",
                                    "-9",
                                    Long.toString(ProcessHandle.current().pid()))
                            .start()
                            .waitFor();
                    Thread.sleep(60_000);
                }
                case "write" -> System.err.println(rest);
                case "flood" -> sayRaw(channel, "x".repeat(Integer.parseInt(rest)));
                case "progress" -> {
                    for (int i = 0; i < Integer.parseInt(rest); i++) {
                        sayRaw(channel, FakeReplies.progress(i));
                    }
                }
                default -> throw new IllegalArgumentException(line);
            }
        }
    }

    private static void say(FrameChannel channel, Object message) throws IOException {
        channel.send(Json.write(message), List.of(), 60_000);
    }

    private static void sayRaw(FrameChannel channel, String json) throws IOException {
        channel.send(json.getBytes(StandardCharsets.UTF_8), List.of(), 60_000);
    }
}
