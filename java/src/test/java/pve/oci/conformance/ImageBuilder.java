package pve.oci.conformance;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static java.nio.charset.StandardCharsets.UTF_8;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.json.Json;
import pve.oci.json.JsonFormatException;
import pve.oci.json.JsonLimits;
import pve.oci.tar.TarBuilder;

/**
 * The archive of a case. Where a case says nothing, the image is an ordinary one of amd64; {@code patch} objects change
 * members of its documents by JSON pointer before their digests are computed.
 */
public final class ImageBuilder {
    private static final String INDEX = "application/vnd.oci.image.index.v1+json";
    private static final String MANIFEST = "application/vnd.oci.image.manifest.v1+json";
    private static final String CONFIG = "application/vnd.oci.image.config.v1+json";
    private static final String LAYER = "application/vnd.oci.image.layer.v1.tar";

    private final Map<String, @Nullable Object> description;
    private final Map<String, byte[]> files = new LinkedHashMap<>();
    private final Map<String, Map<String, @Nullable Object>> images = new LinkedHashMap<>();

    private ImageBuilder(Map<String, @Nullable Object> description) {
        this.description = description;
    }

    /** The archive of a case that is described as in the folder of cases. */
    public static byte[] build(String json) throws JsonFormatException {
        return build(Json.parseObject(json.getBytes(UTF_8), JsonLimits.DEFAULT));
    }

    static byte[] build(Map<String, @Nullable Object> description) {
        return new ImageBuilder(description).archive();
    }

    private byte[] archive() {
        Map<String, @Nullable Object> outer = Data.object(description.get("outer"));
        byte[] tar;
        if (outer.containsKey("bytes")) {
            tar = Data.bytes(outer.get("bytes"));
        } else if (outer.containsKey("entries")) {
            tar = LayerBuilder.build(outer.get("entries")).content;
        } else {
            makeDocuments();
            tar = tar(outer);
        }
        tar = LayerBuilder.join(LayerBuilder.cut(tar, outer.get("cut")), Data.bytes(outer.get("append")));
        tar = LayerBuilder.compress(tar, Data.text(outer.get("compression"), "none"));
        return LayerBuilder.cut(tar, outer.get("cutBlob"));
    }

    private void makeDocuments() {
        Map<String, @Nullable Object> all = Data.object(description.get("images"));
        if (all.isEmpty()) {
            images.put("image", image(description));
        }
        all.forEach((name, image) -> images.put(name, image(Data.object(image))));
        Map<String, @Nullable Object> index = new LinkedHashMap<>();
        index.put("schemaVersion", 2);
        List<@Nullable Object> manifests = new ArrayList<>();
        if (description.get("index") instanceof List<?> list) {
            list.forEach(item -> manifests.add(descriptor(Data.object(item))));
        } else {
            images.values().forEach(manifests::add);
        }
        index.put("manifests", manifests);
        patch(index, description.get("patchIndex"));
        files.put("oci-layout", """
                {"imageLayoutVersion":"1.0.0"}""".getBytes(UTF_8));
        files.put("index.json", Json.write(index));
    }

    /** {@code {"image": NAME}}, {@code {"index": [...]}} or {@code {"blob": TEXT}}, further members as they are. */
    private Map<String, @Nullable Object> descriptor(Map<String, @Nullable Object> item) {
        Map<String, @Nullable Object> descriptor = new LinkedHashMap<>();
        if (item.get("image") instanceof String name) {
            descriptor.putAll(Data.object(images.get(name)));
        } else if (item.get("index") instanceof List<?> nested) {
            Map<String, @Nullable Object> index = new LinkedHashMap<>();
            index.put("schemaVersion", 2);
            index.put("mediaType", INDEX);
            List<@Nullable Object> manifests = new ArrayList<>();
            nested.forEach(x -> manifests.add(descriptor(Data.object(x))));
            index.put("manifests", manifests);
            descriptor.putAll(blob(Json.write(index), INDEX));
        } else if (item.containsKey("blob")) {
            descriptor.putAll(blob(Data.bytes(item.get("blob")), MANIFEST));
        }
        item.forEach((name, value) -> {
            if (!List.of("image", "index", "blob").contains(name)) {
                set(descriptor, name, value);
            }
        });
        return descriptor;
    }

    private Map<String, @Nullable Object> image(Map<String, @Nullable Object> image) {
        List<@Nullable Object> layers = new ArrayList<>();
        List<@Nullable Object> diffIds = new ArrayList<>();
        for (Object description : Data.list(image.get("layers"))) {
            int times = (int) Data.number(Data.object(description).get("times"), 1);
            LayerBuilder.BuiltLayer layer = LayerBuilder.build(description);
            Map<String, @Nullable Object> descriptor =
                    blob(layer.blob, LAYER, Data.text(Data.object(description).get("algorithm"), "sha256"));
            patch(descriptor, Data.object(description).get("patchDescriptor"));
            for (int i = 0; i < times; i++) {
                layers.add(descriptor);
                diffIds.add("sha256:" + hash(layer.content, "sha256"));
            }
        }
        if (Boolean.TRUE.equals(image.get("reversedDiffIds"))) {
            Collections.reverse(diffIds);
        }
        Map<String, @Nullable Object> config = new LinkedHashMap<>();
        config.put("architecture", Data.text(image.get("architecture"), "amd64"));
        config.put("os", "linux");
        config.put("config", Map.of("Cmd", List.of("/bin/true")));
        Map<String, @Nullable Object> rootfs = new LinkedHashMap<>();
        rootfs.put("type", "layers");
        rootfs.put("diff_ids", diffIds);
        config.put("rootfs", rootfs);
        patch(config, image.get("patchConfig"));
        Map<String, @Nullable Object> manifest = new LinkedHashMap<>();
        manifest.put("schemaVersion", 2);
        manifest.put("mediaType", MANIFEST);
        byte[] json = image.containsKey("rawConfig") ? Data.bytes(image.get("rawConfig")) : Json.write(config);
        manifest.put("config", blob(json, CONFIG));
        manifest.put("layers", layers);
        patch(manifest, image.get("patchManifest"));
        byte[] bytes = image.containsKey("rawManifest") ? Data.bytes(image.get("rawManifest")) : Json.write(manifest);
        Map<String, @Nullable Object> descriptor = blob(bytes, MANIFEST);
        patch(descriptor, image.get("patchDescriptor"));
        return descriptor;
    }

    private Map<String, @Nullable Object> blob(byte[] bytes, String mediaType) {
        return blob(bytes, mediaType, "sha256");
    }

    private Map<String, @Nullable Object> blob(byte[] bytes, String mediaType, String algorithm) {
        String hash = hash(bytes, algorithm);
        files.put("blobs/" + algorithm + "/" + hash, bytes);
        Map<String, @Nullable Object> descriptor = new LinkedHashMap<>();
        descriptor.put("mediaType", mediaType);
        descriptor.put("digest", algorithm + ":" + hash);
        descriptor.put("size", bytes.length);
        return descriptor;
    }

    /** Values by JSON pointer; null removes the member, {@code {"null": true}} is a null. */
    private static void patch(Map<String, @Nullable Object> document, @Nullable Object changes) {
        Data.object(changes).forEach((pointer, value) -> {
            Object at = document;
            String[] names = pointer.substring(1).split("/", -1);
            for (int i = 0; i < names.length - 1; i++) {
                at = at instanceof List<?> list
                        ? list.get(Integer.parseInt(names[i]))
                        : Data.object(at).get(names[i]);
            }
            String last = names[names.length - 1];
            if (at instanceof List<?> list) {
                setItem(list, Integer.parseInt(last), value);
            } else {
                set(Data.object(at), last, value);
            }
        });
    }

    @SuppressWarnings("unchecked") // lists here were made above
    private static void setItem(List<?> list, int index, @Nullable Object value) {
        ((List<@Nullable Object>) list).set(index, value);
    }

    private static void set(Map<String, @Nullable Object> object, String name, @Nullable Object value) {
        if (value == null) {
            object.remove(name);
        } else {
            object.put(name, Data.object(value).containsKey("null") ? null : value);
        }
    }

    private byte[] tar(Map<String, @Nullable Object> outer) {
        Map<String, @Nullable Object> replaced = Data.object(outer.get("files"));
        String prefix = Data.text(outer.get("prefix"), "");
        replaced.forEach((name, content) -> {
            if (content == null) {
                files.remove(find(name));
            } else {
                files.put(find(name), Data.bytes(content));
            }
        });
        TarBuilder tar = new TarBuilder();
        tar.buildWithoutEnd();
        byte[] before = LayerBuilder.build(Map.of("entries", Data.list(outer.get("before")), "end", false)).content;
        tar.bytes(before);
        List<String> names = new ArrayList<>(files.keySet());
        if (Boolean.TRUE.equals(outer.get("reversed"))) {
            Collections.reverse(names);
        }
        for (String name : names) {
            tar.file(prefix + name, java.util.Objects.requireNonNull(files.get(name)));
        }
        tar.bytes(LayerBuilder.build(Map.of("entries", Data.list(outer.get("after")), "end", false)).content);
        return Boolean.TRUE.equals(outer.get("withoutEnd")) ? tar.buildWithoutEnd() : tar.build();
    }

    /** The n-th blob by {@code #n}, in the order they were made: layers, config, manifest. */
    private String find(String name) {
        if (!name.startsWith("#")) {
            return name;
        }
        int number = Integer.parseInt(name.substring(1));
        return files.keySet().stream()
                .filter(x -> x.startsWith("blobs/"))
                .skip(number)
                .findFirst()
                .orElseThrow();
    }

    static String hash(byte[] bytes, String algorithm) {
        try {
            return HexFormat.of()
                    .formatHex(MessageDigest.getInstance(algorithm.equals("sha512") ? "SHA-512" : "SHA-256")
                            .digest(bytes));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(new String(bytes, US_ASCII), e);
        }
    }
}
