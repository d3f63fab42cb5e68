package pve.oci.service;

import org.jspecify.annotations.Nullable;
import pve.oci.varlink.VarlinkException;

/** How an image is extracted; the interface definition has the fields' meaning. */
record ExtractOptions(
        @Nullable Long maximumSize,
        @Nullable Long maximumEntries,
        @Nullable Long bandwidthLimit,
        @Nullable Boolean record) {
    /** Refuses limits below 0: the interface's type int allows them. */
    void requireLimits() throws VarlinkException {
        require("maximumSize", maximumSize);
        require("maximumEntries", maximumEntries);
        require("bandwidthLimit", bandwidthLimit);
    }

    private static void require(String name, @Nullable Long limit) throws VarlinkException {
        if (limit != null && limit < 0) {
            throw VarlinkException.invalidParameter("options." + name);
        }
    }
}
