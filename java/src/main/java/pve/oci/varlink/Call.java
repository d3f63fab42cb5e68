package pve.oci.varlink;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.json.Json;
import pve.oci.json.JsonLimits;

/**
 * A call as the protocol frames it.
 *
 * @param method with its interface's name
 * @param more the caller takes any number of replies
 * @param oneway the caller takes none
 * @param upgrade the caller wants to go on with another protocol
 */
public record Call(
        String method, Map<String, @Nullable Object> parameters, boolean more, boolean oneway, boolean upgrade) {
    private static final int MAXIMUM_DEPTH = 32;
    private static final int MAXIMUM_VALUES = 5_000;

    /** Reads a frame. If it is not a call, the connection has to end, because there is nothing to reply to. */
    public static Call parse(byte[] json) throws IOException {
        return parse(json, new JsonLimits(MAXIMUM_DEPTH, Math.max(json.length, 1), MAXIMUM_VALUES));
    }

    /** The same with limits of one's own. */
    public static Call parse(byte[] json, JsonLimits limits) throws IOException {
        Map<String, @Nullable Object> call = Json.parseObject(json, limits);
        if (!(call.get("method") instanceof String method)) {
            throw new FrameException("call has no method");
        }
        Object parameters = call.get("parameters");
        if (parameters != null && !(parameters instanceof Map<?, ?>)) {
            throw new FrameException("call's parameters are not an object");
        }
        return new Call(
                method,
                parameters instanceof Map<?, ?> map ? Json.asObject(map) : new LinkedHashMap<>(),
                flag(call, "more"),
                flag(call, "oneway"),
                flag(call, "upgrade"));
    }

    private static boolean flag(Map<String, @Nullable Object> call, String name) throws FrameException {
        Object value = call.get(name);
        if (value == null) {
            return false;
        }
        if (value instanceof Boolean flag) {
            return flag;
        }
        throw new FrameException("call's \"" + name + "\" is not a boolean");
    }

    /** The part before the method's own name; empty when there is none. */
    public String interfaceName() {
        int dot = method.lastIndexOf('.');
        return dot < 0 ? "" : method.substring(0, dot);
    }

    /** The part behind the interface's name. */
    public String memberName() {
        return method.substring(method.lastIndexOf('.') + 1);
    }
}
