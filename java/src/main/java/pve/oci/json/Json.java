package pve.oci.json;

import static java.nio.charset.StandardCharsets.US_ASCII;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Reads and writes JSON (RFC 8259) as {@code Map<String, Object>} in the document's order, {@code List}, {@code
 * String}, {@code Long}, {@code BigInteger}, {@code Double}, {@code Boolean} and {@code null}.
 */
public final class Json {
    private static final JsonFactory FACTORY = JsonFactory.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            // otherwise a table of all names ever read, which strangers may choose, stays in memory
            .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
            .streamReadConstraints(StreamReadConstraints.builder()
                    .maxNestingDepth(1000)
                    .maxStringLength(Integer.MAX_VALUE)
                    .maxNumberLength(400)
                    .build())
            .build();

    /** For documents of which parts are only passed on: strings that are kept have a maximum length. */
    private static final JsonFactory SHORT_STRINGS = FACTORY.rebuild()
            .streamReadConstraints(FACTORY.streamReadConstraints()
                    .rebuild()
                    .maxStringLength(256 << 10)
                    .build())
            .build();

    private static final String HALF_OF_A_PAIR = "invalid JSON: half of a surrogate pair in a string";

    private Json() {}

    /**
     * Parses exactly one value. Refused: malformed UTF-8 and JSON, a byte order mark, a key twice in one object,
     * anything after the value, and what the limits forbid.
     */
    public static @Nullable Object parse(byte[] utf8, JsonLimits limits) throws JsonFormatException {
        return parse(FACTORY, utf8, limits, Set.of());
    }

    private static @Nullable Object parse(JsonFactory factory, byte[] utf8, JsonLimits limits, Set<String> notKept)
            throws JsonFormatException {
        if (utf8.length > limits.maximumSize()) {
            throw new JsonLimitException("JSON is too large", "maximumJsonSize", limits.maximumSize());
        }
        // jackson's own UTF-8 decoder lets some malformed sequences pass, and guesses UTF-16 and UTF-32
        InputStreamReader text =
                new InputStreamReader(new ByteArrayInputStream(utf8), StandardCharsets.UTF_8.newDecoder());
        try (JsonParser parser = factory.createParser(text)) {
            Reader reader = new Reader(parser, limits, notKept);
            JsonToken first = parser.nextToken();
            if (first == null) {
                throw new JsonFormatException("JSON is empty");
            }
            Object value = reader.value(first, 0);
            if (parser.nextToken() != null) {
                throw new JsonFormatException("JSON has more after its end");
            }
            return value;
        } catch (JsonProcessingException e) {
            throw new JsonFormatException("invalid JSON at offset "
                    + (e.getLocation() == null
                            ? "?"
                            : String.valueOf(e.getLocation().getCharOffset())) + ": "
                    + e.getOriginalMessage());
        } catch (JsonFormatException e) {
            throw e;
        } catch (CharacterCodingException e) {
            throw new JsonFormatException("JSON is not valid UTF-8");
        } catch (IOException e) {
            throw new UncheckedIOException("reading from memory", e);
        }
    }

    /** Like {@link #parse}, and the value must be an object. */
    public static Map<String, @Nullable Object> parseObject(byte[] utf8, JsonLimits limits) throws JsonFormatException {
        return requireObject(parse(utf8, limits));
    }

    /**
     * Like {@link #parseObject(byte[], JsonLimits)}, for a document of which parts are only passed on. Members with
     * these names in the outermost object's objects are read as JSON, but no more is kept of them than their type: an
     * object is empty, and so is a string. Of the others no string is longer than 256 Ki characters.
     */
    public static Map<String, @Nullable Object> parseObject(byte[] utf8, JsonLimits limits, Set<String> notKept)
            throws JsonFormatException {
        Map<String, @Nullable Object> object = requireObject(parse(SHORT_STRINGS, utf8, limits, notKept));
        requireWholeCharacters(utf8);
        return object;
    }

    /** The same check as {@link Reader#text}, of the strings that are not decoded. The JSON is known to be valid. */
    private static void requireWholeCharacters(byte[] json) throws JsonFormatException {
        boolean isAfterHigh = false;
        for (int i = 0; i < json.length; i++) {
            boolean isUnit = json[i] == '\\' && json[i + 1] == 'u';
            char unit = isUnit ? (char) Integer.parseInt(new String(json, i + 2, 4, US_ASCII), 16) : 0;
            if (Character.isLowSurrogate(unit) != isAfterHigh) {
                throw new JsonFormatException(HALF_OF_A_PAIR);
            }
            isAfterHigh = Character.isHighSurrogate(unit);
            i += isUnit ? 5 : json[i] == '\\' ? 1 : 0;
        }
    }

    private static Map<String, @Nullable Object> requireObject(@Nullable Object value) throws JsonFormatException {
        if (value instanceof Map<?, ?> map) {
            return asObject(map);
        }
        throw new JsonFormatException("JSON is not an object");
    }

    /** The cast that the type system cannot express: maps made by {@link #parse} have only string keys. */
    @SuppressWarnings("unchecked") // see above
    public static Map<String, @Nullable Object> asObject(Map<?, ?> map) {
        return (Map<String, @Nullable Object>) map;
    }

    /** Writes a tree as {@link #parse} gives it; other numbers of the JDK are taken too. */
    public static byte[] write(@Nullable Object value) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(512);
        try (JsonGenerator generator = FACTORY.createGenerator(bytes)) {
            write(generator, value);
        } catch (IOException e) {
            throw new UncheckedIOException("writing to memory", e);
        }
        return bytes.toByteArray();
    }

    private static void write(JsonGenerator generator, @Nullable Object value) throws IOException {
        if (value == null) {
            generator.writeNull();
        } else if (value instanceof String text) {
            generator.writeString(text);
        } else if (value instanceof Boolean truth) {
            generator.writeBoolean(truth);
        } else if (value instanceof Integer || value instanceof Long || value instanceof Short) {
            generator.writeNumber(((Number) value).longValue());
        } else if (value instanceof BigInteger number) {
            generator.writeNumber(number);
        } else if (value instanceof BigDecimal number) {
            generator.writeNumber(number);
        } else if (value instanceof Number number) {
            generator.writeNumber(number.doubleValue());
        } else if (value instanceof Map<?, ?> map) {
            generator.writeStartObject();
            for (Map.Entry<?, ?> entry : map.entrySet()) {
                generator.writeFieldName((String) entry.getKey());
                write(generator, entry.getValue());
            }
            generator.writeEndObject();
        } else if (value instanceof Iterable<?> list) {
            generator.writeStartArray();
            for (Object item : list) {
                write(generator, item);
            }
            generator.writeEndArray();
        } else {
            throw new IllegalArgumentException("no JSON for " + value.getClass());
        }
    }

    /** One document being read; counts what the limits bound. */
    private static final class Reader {
        private static final int NOT_KEPT_DEPTH = 2;

        /** Bytes of the heap for a member of a map or an item of a list, with what refers to it. */
        private static final int VALUE_SIZE = 100;

        /** Bytes of the heap for a map or list with its first table. */
        private static final int CONTAINER_SIZE = 100;

        private final JsonParser parser;
        private final JsonLimits limits;
        private final Set<String> notKept;
        private int values;
        private long memory;

        Reader(JsonParser parser, JsonLimits limits, Set<String> notKept) {
            this.parser = parser;
            this.limits = limits;
            this.notKept = notKept;
        }

        @Nullable
        Object value(JsonToken token, int depth) throws IOException {
            if (++values > limits.maximumValues()) {
                throw new JsonLimitException("JSON holds too many values", "maximumJsonValues", limits.maximumValues());
            }
            grow(VALUE_SIZE + (token.isStructStart() ? CONTAINER_SIZE : 0));
            return switch (token) {
                case START_OBJECT -> object(deeper(depth));
                case START_ARRAY -> array(deeper(depth));
                case VALUE_STRING -> text(parser.getText());
                case VALUE_NUMBER_INT -> integer();
                case VALUE_NUMBER_FLOAT -> number(parser.getDoubleValue());
                case VALUE_TRUE -> true;
                case VALUE_FALSE -> false;
                case VALUE_NULL -> null;
                default -> throw new JsonFormatException("unexpected " + token + " in JSON");
            };
        }

        private void grow(long bytes) throws JsonFormatException {
            memory += bytes;
            if (memory > limits.maximumMemory()) {
                throw new JsonLimitException("JSON takes too much memory", "memory", limits.maximumMemory());
            }
        }

        /** An escaped half of a surrogate pair is no character, and could not be passed on as UTF-8. */
        private String text(String text) throws JsonFormatException {
            grow(2L * text.length());
            for (int i = 0; i < text.length(); i++) {
                char c = text.charAt(i);
                if (Character.isSurrogate(c)) {
                    boolean isPair = Character.isHighSurrogate(c)
                            && i + 1 < text.length()
                            && Character.isLowSurrogate(text.charAt(i + 1));
                    if (!isPair) {
                        throw new JsonFormatException(HALF_OF_A_PAIR);
                    }
                    i++;
                }
            }
            return text;
        }

        /** A number too large for a double would become infinity, which JSON cannot write. */
        private static double number(double value) throws JsonFormatException {
            if (Double.isInfinite(value)) {
                throw new JsonFormatException("invalid JSON: a number is out of the range of 64 bits");
            }
            return value;
        }

        private int deeper(int depth) throws JsonFormatException {
            if (depth >= limits.maximumDepth()) {
                throw new JsonLimitException("JSON nests too deep", "maximumJsonDepth", limits.maximumDepth());
            }
            return depth + 1;
        }

        private Object integer() throws IOException {
            return switch (parser.getNumberType()) {
                case INT, LONG -> parser.getLongValue();
                default -> parser.getBigIntegerValue();
            };
        }

        private Map<String, @Nullable Object> object(int depth) throws IOException {
            Map<String, @Nullable Object> map = new LinkedHashMap<>();
            for (JsonToken at = next(); at != JsonToken.END_OBJECT; at = next()) {
                String name = text(parser.currentName());
                if (map.containsKey(name)) {
                    throw new JsonFormatException("invalid JSON: duplicate key in an object");
                }
                JsonToken token = next();
                map.put(
                        name,
                        depth == NOT_KEPT_DEPTH && notKept.contains(name) ? passOver(token) : value(token, depth));
            }
            return map;
        }

        /** Reads a value without keeping it; the parser does not decode strings that nobody asks for. */
        private @Nullable Object passOver(JsonToken token) throws IOException {
            if (token == JsonToken.VALUE_STRING) {
                return "";
            }
            if (token != JsonToken.START_OBJECT) {
                return value(token, NOT_KEPT_DEPTH);
            }
            // keys are remembered to find one that comes twice, which takes more memory than the document
            parser.disable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION);
            for (int depth = deeper(NOT_KEPT_DEPTH); depth > NOT_KEPT_DEPTH; ) {
                JsonToken inner = next();
                if (inner == JsonToken.VALUE_NUMBER_FLOAT) {
                    number(parser.getDoubleValue());
                }
                depth = inner.isStructStart() ? deeper(depth) : inner.isStructEnd() ? depth - 1 : depth;
            }
            return new LinkedHashMap<>();
        }

        private List<@Nullable Object> array(int depth) throws IOException {
            List<@Nullable Object> list = new ArrayList<>();
            for (JsonToken token = next(); token != JsonToken.END_ARRAY; token = next()) {
                list.add(value(token, depth));
            }
            return list;
        }

        private JsonToken next() throws IOException {
            JsonToken token = parser.nextToken();
            if (token == null) {
                throw new JsonFormatException("JSON ends too early");
            }
            return token;
        }
    }
}
