package pve.oci.service;

import com.fasterxml.jackson.annotation.JsonInclude;
import org.jspecify.annotations.Nullable;

/** How an image is extracted; the interface definition has the fields' meaning. */
@JsonInclude(JsonInclude.Include.NON_NULL)
record ExtractOptions(
        @Nullable Long maximumSize,
        @Nullable Long maximumEntries,
        @Nullable Long bandwidthLimit,
        @Nullable Boolean record) {}
