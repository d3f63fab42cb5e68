package pve.oci.layer;

import pve.oci.compress.Decompressor;
import pve.oci.tar.TarLimits;

/**
 * Limits on extracting the layers of one image.
 *
 * @param maximumSize bytes written for all entries of all layers: content, sparse files counted expanded; names, link
 *     targets and extended attributes; bytes that follow a layer's end; content of whiteouts
 * @param maximumEntries entries of all layers, whiteouts among them
 * @param maximumSteps components of paths walked, links followed and names listed, see {@link pve.oci.rootfs.Steps}
 * @param maximumRatio of uncompressed to compressed bytes of a layer, once it is past {@link #RATIO_FREE_SIZE}
 * @param zstdWindowLog binary logarithm of the window that a zstd frame may ask for
 * @param bandwidthLimit bytes of the archive read in a second; 0: no limit
 * @param readAhead bytes of memory for what is decompressed and waits for being applied
 * @param tar sizes of headers
 */
public record LayerLimits(
        long maximumSize,
        long maximumEntries,
        long maximumSteps,
        long maximumRatio,
        int zstdWindowLog,
        long bandwidthLimit,
        long readAhead,
        TarLimits tar) {
    /** A layer that decompresses to no more than this may have any ratio: files of zeros are legitimate. */
    public static final long RATIO_FREE_SIZE = 1L << 30;

    public static final LayerLimits DEFAULT = new LayerLimits(
            1L << 40,
            10_000_000,
            20_000_000,
            5_000,
            Decompressor.DEFAULT_WINDOW_LOG_MAX,
            0,
            64 << 20,
            TarLimits.DEFAULT);
}
