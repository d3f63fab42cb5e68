package pve.oci.json;

/**
 * What {@link Json#parse} accepts at most.
 *
 * @param maximumDepth nested objects and arrays
 * @param maximumSize bytes of the whole document
 * @param maximumValues values of any kind, which bounds the memory that a small document can claim
 */
public record JsonLimits(int maximumDepth, int maximumSize, int maximumValues) {
    /**
     * image-spec recommends 4 MiB for manifests (manifest.md); nothing in it nests deeper than about ten. A value takes up
     * to 200 bytes of the heap.
     */
    public static final JsonLimits DEFAULT = new JsonLimits(64, 4 << 20, 200_000);
}
