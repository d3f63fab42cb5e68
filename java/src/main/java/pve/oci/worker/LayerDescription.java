package pve.oci.worker;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;
import pve.oci.archive.BlobSource;
import pve.oci.archive.Layer;
import pve.oci.compress.ClaimedSize;
import pve.oci.compress.Compression;
import pve.oci.compress.UnsupportedCompressionException;
import pve.oci.linux.NativeBuffer;

/** What can be told of a layer without decompressing it: the interface's type Layer. */
final class LayerDescription {
    private LayerDescription() {}

    static Map<String, @Nullable Object> of(Layer layer) throws IOException {
        Map<String, @Nullable Object> json = new LinkedHashMap<>();
        json.put("descriptor", layer.descriptor().toJson());
        json.put("diffId", layer.diffId().toString());
        NativeBuffer start = NativeBuffer.allocate(ClaimedSize.BYTES);
        NativeBuffer end = NativeBuffer.allocate(ClaimedSize.BYTES);
        try (BlobSource blob = layer.blob().open()) {
            ByteBuffer first = start.buffer().position(0).limit(blob.read(start));
            ByteBuffer last = end.buffer().position(0).limit(blob.readEnd(end));
            Compression compression = Compression.detect(first);
            json.put("compression", compression.name().toLowerCase(Locale.ROOT));
            OptionalLong size = ClaimedSize.of(compression, first, last, blob.size());
            if (size.isPresent()) {
                json.put("uncompressedSize", size.getAsLong());
            }
        } catch (UnsupportedCompressionException e) {
            // a compression that the interface has no name for
        }
        return json;
    }
}
