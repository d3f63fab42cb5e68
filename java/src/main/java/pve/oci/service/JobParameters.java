package pve.oci.service;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** The parameters of every method that works on an image; those that a method lacks stay null. */
record JobParameters(
        @Nullable String archivePath,
        @Nullable Long archiveFileDescriptor,
        @Nullable String rootDirectory,
        @Nullable Long rootDirectoryFileDescriptor,
        @Nullable ImageSelector selector,
        @Nullable List<IdMapRange> uidMap,
        @Nullable List<IdMapRange> gidMap,
        @Nullable ExtractOptions options,
        @Nullable List<String> keep,
        @Nullable Boolean discardChanges,
        @Nullable String step) {}
