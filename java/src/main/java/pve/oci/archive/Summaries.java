package pve.oci.archive;

import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The interface's type ImageSummary. */
public final class Summaries {
    private Summaries() {}

    public static Map<String, @Nullable Object> toJson(Image.Summary summary) {
        Map<String, @Nullable Object> json = new LinkedHashMap<>();
        json.put("manifest", summary.manifest().toJson());
        if (summary.platform() != null) {
            json.put("platform", summary.platform().toJson());
        }
        if (summary.manifest().referenceName() != null) {
            json.put("referenceName", summary.manifest().referenceName());
        }
        json.put("layersSize", summary.layersSize());
        json.put("layersCount", summary.layersCount());
        return json;
    }
}
