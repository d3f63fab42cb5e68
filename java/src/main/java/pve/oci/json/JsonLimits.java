package pve.oci.json;

/**
 * What {@link Json#parse} accepts at most.
 *
 * @param maximumDepth nested objects and arrays
 * @param maximumSize bytes of the whole document
 * @param maximumValues values of any kind, which bounds the memory that a small document can claim
 * @param maximumMemory bytes of the heap that the tree of the document takes, roughly
 */
public record JsonLimits(int maximumDepth, int maximumSize, int maximumValues, long maximumMemory) {
    /**
     * image-spec recommends 4 MiB for manifests (manifest.md); nothing in it nests deeper than about ten. A value takes
     * up to 200 bytes of the heap.
     */
    public static final JsonLimits DEFAULT = new JsonLimits(64, 4 << 20, 200_000);

    /** The memory is bounded by the other limits only. */
    public JsonLimits(int maximumDepth, int maximumSize, int maximumValues) {
        this(maximumDepth, maximumSize, maximumValues, Long.MAX_VALUE);
    }
}
