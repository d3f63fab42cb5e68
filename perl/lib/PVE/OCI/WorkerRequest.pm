package PVE::OCI::WorkerRequest;

# Calls of the interface io.pve.oci.worker, as the embedded engine's caller makes them: each is
# { method, parameters, handles }. t/63-worker-contract.t holds them against the interface.

use v5.36;

my $INTERFACE = 'io.pve.oci.worker';

# The ranges of a map as the engine gets them, which does not learn what they are on the host.
my sub id_ranges ($map) {
    return [map { { inside => $_->{inside} + 0, count => $_->{count} + 0 } } $map->@*];
}

# For one of the four methods that work on an image. Archive and root are { handle, ... }, root only
# for an extraction; maps are { uid_map, gid_map }.
sub job ($method, $archive, $root, $maps, $selector, $limits) {
    my $parameters = {
        archiveFileDescriptor => 0,
        archiveName => $archive->{name},
        limits => { map { $_ => $limits->{$_} + 0 } keys $limits->%* },
    };
    $parameters->{selector} = $selector // {} if $method ne 'DetectArchive';
    if ($root) {
        $parameters->{rootDirectoryFileDescriptor} = 1;
        $parameters->{uidMap} = id_ranges($maps->{uid_map});
        $parameters->{gidMap} = id_ranges($maps->{gid_map});
    }
    my $handles = [map { $_->{handle} } grep { defined } $archive, $root];
    return { method => "$INTERFACE.$method", parameters => $parameters, handles => $handles };
}

# For what is left of another engine to be removed. existing is what that one found before it read
# the image.
sub clean ($root, $existing) {
    return {
        method => "$INTERFACE.CleanRootDirectory",
        parameters => { rootDirectoryFileDescriptor => 0, existing => $existing },
        handles => [$root->{handle}],
    };
}

1;
