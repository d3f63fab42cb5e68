package PVE::OCI::WorkerRequest;

# Calls of the interface io.pve.oci.worker, as the embedded engine's caller makes them: each is {
# method, parameters, handles }. t/63-worker-contract.t checks them against the interface.

use v5.36;

my $INTERFACE = 'io.pve.oci.worker';

# What each method works on and wants to know. Those with keeps_system work on a container's system:
# its root directory is not empty, and belongs to the container already.
my $METHODS = {
    DetectArchive => { has_archive => 1 },
    InspectImage => { has_archive => 1 },
    VerifyImage => { has_archive => 1 },
    ParseAndExtractImage => { has_archive => 1, has_root => 1, has_maps => 1 },
    CompareRootDirectory => { has_root => 1, keeps_system => 1, only_looks => 1 },
    CompareWithImage => { has_archive => 1, has_root => 1, has_maps => 1, keeps_system => 1 },
    StageUpdate => { has_archive => 1, has_root => 1, has_maps => 1, keeps_system => 1 },
    ApplyUpdate => { has_root => 1, keeps_system => 1 },
};

sub traits ($method) { return $METHODS->{$method} // {} }

# The ranges of a map, as the engine gets them: without the IDs on the host.
my sub id_ranges ($map) {
    return [map { { inside => $_->{inside} + 0, count => $_->{count} + 0 } } $map->@*];
}

# The parameters that only this method has.
my sub own_parameters ($method, $call) {
    return { record => $call->{options}->{record} // \0 }
        if $method eq 'ParseAndExtractImage';
    return { keep => $call->{keep} // [] } if $method =~ /\ACompare(?:RootDirectory|WithImage)\z/;
    return { keep => $call->{keep} // [], discardChanges => $call->{discardChanges} // \0 }
        if $method eq 'StageUpdate';
    return { step => $call->{step} } if $method eq 'ApplyUpdate';
    return {};
}

# A request for one of the methods that work on an image or a root directory. Archive and root are {
# handle, ... }, undef for a method without; maps are { uid_map, gid_map }; call are the parameters
# of the call.
sub job ($method, $archive, $root, $maps, $call, $limits) {
    my $parameters = own_parameters($method, $call);
    my @handles;
    if ($archive) {
        $parameters->{archiveFileDescriptor} = push(@handles, $archive->{handle}) - 1;
        $parameters->{archiveName} = $archive->{name};
        $parameters->{limits} = { map { $_ => $limits->{$_} + 0 } keys $limits->%* };
        $parameters->{selector} = $call->{selector} // {} if $method ne 'DetectArchive';
    }
    if ($root) {
        $parameters->{rootDirectoryFileDescriptor} = push(@handles, $root->{handle}) - 1;
    }
    if (traits($method)->{has_maps}) {
        $parameters->{uidMap} = id_ranges($maps->{uid_map});
        $parameters->{gidMap} = id_ranges($maps->{gid_map});
    }
    return { method => "$INTERFACE.$method", parameters => $parameters, handles => \@handles };
}

# A request to remove what another engine has left. $existing is what that one found before it read
# the image.
sub clean ($root, $existing) {
    return {
        method => "$INTERFACE.CleanRootDirectory",
        parameters => { rootDirectoryFileDescriptor => 0, existing => $existing },
        handles => [$root->{handle}],
    };
}

# A request to take back an update that another engine has begun.
sub abandon ($root) {
    return job('ApplyUpdate', undef, $root, {}, { step => 'abandon' }, {});
}

1;
