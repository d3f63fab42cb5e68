package pve.oci.service;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.text.Text;
import pve.oci.varlink.Idl;
import pve.oci.varlink.IdlChecker;
import pve.oci.varlink.ServerCall;
import pve.oci.varlink.VarlinkException;

/** Binds a call's parameters to records, after they were held against the interface definition. */
final class Parameters {
    private static final ObjectMapper MAPPER = JsonMapper.builder()
            .enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
            .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS)
            .build();
    private static final TypeReference<Map<String, @Nullable Object>> TREE = new TypeReference<>() {};

    private final Idl idl;
    private final IdlChecker checker;

    Parameters(Idl idl) {
        this.idl = idl;
        this.checker = new IdlChecker(idl);
    }

    /** Parameters of the wrong type, unknown ones and missing ones are answered with InvalidParameter. */
    <T> T bind(ServerCall call, Class<T> type) throws VarlinkException {
        String method = call.method().substring(OciErrors.PREFIX.length());
        Idl.Method definition = idl.methods().get(method);
        if (definition == null) {
            throw VarlinkException.methodNotFound(call.method());
        }
        String mismatch = checker.mismatch(definition.input(), call.parameters(), "");
        if (mismatch != null) {
            throw VarlinkException.invalidParameter(Text.clean(mismatch));
        }
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
