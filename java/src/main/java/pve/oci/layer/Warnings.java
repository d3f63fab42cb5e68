package pve.oci.layer;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.archive.Layer;

/** Warnings about what was left out of the image. All are counted, the first ones are listed. */
public final class Warnings {
    public static final int LISTED = 100;

    private final List<Map<String, @Nullable Object>> listed = new ArrayList<>();
    private long count;

    /** @param what as the interface's type EntryWarning has it: deviceNode or extendedAttribute */
    void add(Layer layer, String entryPath, String what, String detail) {
        count++;
        if (listed.size() < LISTED) {
            Map<String, @Nullable Object> warning = new LinkedHashMap<>();
            warning.put("layerDigest", layer.descriptor().digest().toString());
            warning.put("entryPath", entryPath);
            warning.put("what", what);
            warning.put("detail", detail);
            listed.add(warning);
        }
    }

    public List<Map<String, @Nullable Object>> listed() {
        return listed;
    }

    public long count() {
        return count;
    }
}
