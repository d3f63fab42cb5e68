package pve.oci.service;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.text.Text;
import pve.oci.varlink.ServerCall;
import pve.oci.varlink.VarlinkException;

/** Binds a call's parameters to records. */
final class Parameters {
    private static final ObjectMapper MAPPER = JsonMapper.builder()
            .enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
            .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS)
            .build();
    private static final TypeReference<Map<String, @Nullable Object>> TREE = new TypeReference<>() {};

    private Parameters() {}

    /**
     * The server has checked them against the interface, so binding can only fail for a number of more than 64 bits.
     */
    static <T> T bind(ServerCall call, Class<T> type) throws VarlinkException {
        try {
            return MAPPER.convertValue(call.parameters(), type);
        } catch (IllegalArgumentException e) {
            throw VarlinkException.invalidParameter(Text.clean(String.valueOf(e.getMessage())));
        }
    }

    /** A record as a tree, to be sent on. */
    static Map<String, @Nullable Object> tree(Object value) {
        return MAPPER.convertValue(value, TREE);
    }
}
