package pve.oci.service;

import com.fasterxml.jackson.annotation.JsonInclude;
import org.jspecify.annotations.Nullable;

/** Which image of an archive is meant; the interface definition has the fields' meaning. */
@JsonInclude(JsonInclude.Include.NON_NULL)
record ImageSelector(
        @Nullable String referenceName,
        @Nullable String architecture,
        @Nullable String variant,
        @Nullable String manifestDigest) {}
