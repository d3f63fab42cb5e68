package pve.oci.service;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.json.Json;
import pve.oci.json.JsonFormatException;
import pve.oci.json.JsonLimits;
import pve.oci.text.Text;
import pve.oci.varlink.Idl;
import pve.oci.varlink.IdlChecker;
import pve.oci.varlink.IdlType;
import pve.oci.varlink.VarlinkException;

/**
 * Reads what workers send. A worker has parsed an image that may be anybody's, so nothing passes that the interface
 * definition does not name, and no text passes into errors and the log that is not one clean line.
 */
final class WorkerReplies {
    private static final int MAXIMUM_DEPTH = 80;
    private static final int MAXIMUM_VALUES = 1_000_000;

    /** A message of a worker. */
    sealed interface Message {}

    /** @param existing what stood in the root directory before, in the worker's own words; null: not told */
    record ProgressMessage(
            @Nullable Map<String, @Nullable Object> progress,
            @Nullable List<@Nullable Object> existing) implements Message {}

    record LogMessage(String level, String text) implements Message {}

    record Reply(Map<String, @Nullable Object> parameters) implements Message {}

    record ErrorReply(VarlinkException error) implements Message {}

    private final Idl idl;
    private final IdlChecker checker;

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
        Map<String, @Nullable Object> frame;
        try {
            frame = Json.parseObject(json, new JsonLimits(MAXIMUM_DEPTH, Worker.MAXIMUM_FRAME_SIZE, MAXIMUM_VALUES));
        } catch (JsonFormatException e) {
            throw OciErrors.workerFailed("worker sent no valid reply: " + Text.clean(String.valueOf(e.getMessage())));
        }
        Object parameters = frame.get("parameters");
        if (parameters != null && !(parameters instanceof Map<?, ?>)) {
            throw invalid("parameters");
        }
        Map<String, @Nullable Object> fields =
                parameters instanceof Map<?, ?> map ? Json.asObject(map) : new LinkedHashMap<>();
        if (frame.get("error") != null) {
            return error(frame.get("error"), fields);
        }
        return Boolean.TRUE.equals(frame.get("continues")) ? continuing(fields) : reply(fields, reply);
    }

    private Message reply(Map<String, @Nullable Object> fields, IdlType.Struct type) throws VarlinkException {
        requireMatch(type, fields, "");
        return new Reply(fields);
    }

    private Message continuing(Map<String, @Nullable Object> fields) throws VarlinkException {
        if (fields.get("log") instanceof Map<?, ?> log) {
            if (log.get("level") instanceof String level && log.get("message") instanceof String text) {
                return new LogMessage(level, Text.clean(text));
            }
            throw invalid("log");
        }
        Map<String, @Nullable Object> progress = null;
        if (fields.get("progress") instanceof Map<?, ?> map) {
            progress = Json.asObject(map);
            requireMatch(new IdlType.Reference("Progress"), progress, "progress");
        }
        Object existing = fields.get("existing");
        if (existing != null
                && !(existing instanceof List<?> list && list.stream().allMatch(String.class::isInstance))) {
            throw invalid("existing");
        }
        return new ProgressMessage(
                progress, existing instanceof List<?> list ? new ArrayList<@Nullable Object>(list) : null);
    }

    private Message error(@Nullable Object name, Map<String, @Nullable Object> fields) throws VarlinkException {
        if (!(name instanceof String error) || !error.startsWith(OciErrors.PREFIX)) {
            throw invalid("error");
        }
        IdlType.Struct type = idl.errors().get(error.substring(OciErrors.PREFIX.length()));
        if (type == null) {
            throw invalid("error");
        }
        requireMatch(type, fields, "error");
        return new ErrorReply(new VarlinkException(error, Json.asObject((Map<?, ?>) cleaned(fields))));
    }

    private void requireMatch(IdlType type, Map<String, @Nullable Object> fields, String path) throws VarlinkException {
        String mismatch = checker.mismatch(type, fields, path);
        if (mismatch != null) {
            throw invalid(mismatch);
        }
    }

    private static VarlinkException invalid(String where) {
        return OciErrors.workerFailed("worker sent an invalid reply: " + Text.clean(where));
    }

    /** The same tree, every string one clean line. */
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
