package pve.oci.service;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import pve.oci.json.Json;
import pve.oci.json.JsonFormatException;
import pve.oci.json.JsonLimits;
import pve.oci.text.Text;
import pve.oci.varlink.Idl;
import pve.oci.varlink.IdlChecker;
import pve.oci.varlink.IdlParser;
import pve.oci.varlink.IdlType;
import pve.oci.varlink.VarlinkException;

/**
 * Reads what workers send. A worker has parsed an image that may be anybody's. So every frame is checked against the
 * definitions of io.pve.oci.worker (events) and io.pve.oci (last replies and errors), and every text for errors and the
 * log becomes one clean line.
 *
 * <p>The bytes of a last reply go to the client unchanged. The image's configuration in it must be valid JSON, but no
 * objects are made of it: those of a few large configurations would fill the daemon's heap.
 */
final class WorkerReplies {
    private static final int MAXIMUM_DEPTH = 80;
    private static final int MAXIMUM_VALUES = 200_000;

    /**
     * Memory for the objects made of one frame, besides the frame itself. The daemon's heap is 33 MiB (bin/pve-ocid).
     */
    private static final long MAXIMUM_MEMORY = 12 << 20;

    private static final Set<String> NOT_KEPT = Set.of("config", "rawConfig");
    private static final Idl WORKER = IdlParser.ofResource("/io.pve.oci.worker.varlink");
    private static final IdlChecker EVENT_CHECKER = new IdlChecker(WORKER);
    private static final IdlType EVENT = new IdlType.Reference("Event");

    /** A message of a worker. */
    sealed interface Message {}

    /**
     * An event, which other messages follow.
     *
     * @param work how much the job has worked by now; -1 when the event does not say
     */
    record Event(
            @Nullable Map<String, @Nullable Object> progress,
            long work,
            @Nullable LogLine log) implements Message {}

    /** The image's configuration, known before anything is extracted. */
    static final class Config implements Message {
        private final byte[] frame;

        private Config(byte[] frame) {
            this.frame = frame;
        }

        /** The whole message, as a client gets it. */
        byte[] frame() {
            return frame;
        }
    }

    record LogLine(boolean isProblem, String text) {}

    /** The last message, after success. */
    static final class Reply implements Message {
        private final Map<String, @Nullable Object> parameters;
        private final byte[] frame;

        private Reply(Map<String, @Nullable Object> parameters, byte[] frame) {
            this.parameters = parameters;
            this.frame = frame;
        }

        /** Its parameters, without the content of the configuration. */
        Map<String, @Nullable Object> parameters() {
            return parameters;
        }

        /** The whole message, as a client gets it. */
        byte[] frame() {
            return frame;
        }
    }

    record ErrorReply(VarlinkException error) implements Message {}

    private final Idl idl;
    private final IdlChecker checker;

    /** @param idl of io.pve.oci */
    WorkerReplies(Idl idl) {
        this.idl = idl;
        this.checker = new IdlChecker(idl);
    }

    /**
     * Reads one frame.
     *
     * @param reply what the last reply's parameters must be
     * @throws VarlinkException WorkerFailed, when the frame is not what a worker may send
     */
    Message read(byte[] json, IdlType.Struct reply) throws VarlinkException {
        Map<String, @Nullable Object> frame = frame(json);
        boolean continues = Boolean.TRUE.equals(frame.get("continues"));
        Map<String, @Nullable Object> fields = fields(frame);
        if (frame.containsKey("error")) {
            return error(frame.get("error"), fields);
        }
        if (continues) {
            return event(fields, json, reply);
        }
        requireMatch(checker, reply, fields, "");
        return new Reply(fields, json);
    }

    /** Whether the frame is the event that a new worker sends first. */
    static boolean isReady(byte[] json) throws VarlinkException {
        Map<String, @Nullable Object> frame = frame(json);
        Map<String, @Nullable Object> fields = fields(frame);
        requireMatch(EVENT_CHECKER, EVENT, fields, "");
        return Boolean.TRUE.equals(frame.get("continues")) && Boolean.TRUE.equals(fields.get("ready"));
    }

    private static Map<String, @Nullable Object> frame(byte[] json) throws VarlinkException {
        Map<String, @Nullable Object> frame;
        try {
            JsonLimits limits =
                    new JsonLimits(MAXIMUM_DEPTH, Worker.MAXIMUM_FRAME_SIZE + 1, MAXIMUM_VALUES, MAXIMUM_MEMORY);
            frame = Json.parseObject(json, limits, NOT_KEPT);
        } catch (JsonFormatException e) {
            throw OciErrors.workerFailed("worker sent no valid reply: " + Text.clean(String.valueOf(e.getMessage())));
        }
        boolean continues = Boolean.TRUE.equals(frame.get("continues"));
        for (Map.Entry<String, @Nullable Object> member : frame.entrySet()) {
            requireMember(member.getKey(), member.getValue(), continues);
        }
        return frame;
    }

    private static Map<String, @Nullable Object> fields(Map<String, @Nullable Object> frame) {
        return frame.get("parameters") instanceof Map<?, ?> map ? Json.asObject(map) : new LinkedHashMap<>();
    }

    /** A frame is passed on to the client, so it must not have members that mean something in the client's protocol. */
    private static void requireMember(String name, @Nullable Object value, boolean continues) throws VarlinkException {
        boolean isKnown = switch (name) {
            case "parameters" -> value instanceof Map<?, ?>;
            case "continues" -> continues;
            case "error" -> !continues;
            default -> false;
        };
        if (!isKnown) {
            throw invalid(name);
        }
    }

    private Message event(Map<String, @Nullable Object> fields, byte[] frame, IdlType.Struct reply)
            throws VarlinkException {
        requireMatch(EVENT_CHECKER, EVENT, fields, "");
        if (fields.get("config") != null) {
            // the client gets the whole frame, so it must hold nothing but what the client's interface has
            if (fields.size() > 1 || !reply.fields().containsKey("config")) {
                throw invalid("config");
            }
            return new Config(frame);
        }
        if (fields.values().stream().allMatch(value -> value == null)) {
            throw invalid("an event that says nothing");
        }
        LogLine line = null;
        if (fields.get("log") instanceof Map<?, ?> log) {
            line = new LogLine(!"info".equals(log.get("level")), Text.clean(String.valueOf(log.get("message"))));
        }
        return new Event(
                fields.get("progress") instanceof Map<?, ?> map ? Json.asObject(map) : null,
                fields.get("work") instanceof Number work ? work.longValue() : -1,
                line);
    }

    private Message error(@Nullable Object given, Map<String, @Nullable Object> fields) throws VarlinkException {
        if ("org.varlink.service.InvalidParameter".equals(given) && fields.get("parameter") instanceof String field) {
            throw OciErrors.workerFailed("worker refuses the request's parameter " + Text.clean(field));
        }
        if (!(given instanceof String error) || !error.startsWith(OciErrors.PREFIX)) {
            throw invalid("error");
        }
        String name = error.substring(OciErrors.PREFIX.length());
        IdlType.Struct type = idl.errors().get(name);
        if (type == null || OciErrors.OF_THE_DAEMON_ALONE.contains(name)) {
            throw invalid("error");
        }
        requireMatch(checker, type, fields, "error");
        return new ErrorReply(new VarlinkException(error, Json.asObject((Map<?, ?>) cleaned(fields))));
    }

    private static void requireMatch(
            IdlChecker checker, IdlType type, Map<String, @Nullable Object> fields, String path)
            throws VarlinkException {
        String mismatch = checker.mismatch(type, fields, path);
        if (mismatch != null) {
            throw invalid(mismatch);
        }
    }

    private static VarlinkException invalid(String where) {
        return OciErrors.workerFailed("worker sent an invalid reply: " + Text.clean(where));
    }

    /** Copies a tree of JSON values; each string in the copy is one clean line. */
    static Object cleaned(Object value) {
        if (value instanceof String text) {
            return Text.clean(text);
        }
        if (value instanceof Map<?, ?> map) {
            Map<String, @Nullable Object> clean = new LinkedHashMap<>();
            map.forEach((key, item) -> clean.put(Text.clean((String) key), item == null ? null : cleaned(item)));
            return clean;
        }
        if (value instanceof List<?> list) {
            List<@Nullable Object> clean = new ArrayList<>(list.size());
            list.forEach(item -> clean.add(item == null ? null : cleaned(item)));
            return clean;
        }
        return value;
    }
}
