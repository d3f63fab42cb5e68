package PVE::LXC::OCI::Update;

# Updates a container that was made from an OCI image to another image, in place, and rolls it back.
# Finds, locks and mounts the container, lets PVE::LXC::OCI::UpdateSteps do the work, then unmounts
# and unlocks it. Only calls with a VMID need the modules of Proxmox VE.

use v5.36;

use PVE::LXC::OCI::UpdateSteps;
use PVE::OCI::IdMap;
use PVE::OCI::Origin;
use PVE::OCI::RootLock;
use PVE::OCI::Session;
use PVE::OCI::Signals;
use PVE::OCI::Varlink;

my sub invalid ($message) { PVE::OCI::Varlink::fail('InvalidArgument', $message) }

my sub some ($options, @names) {
    return map { $_ => $options->{$_} } grep { defined($options->{$_}) } @names;
}

# The ID map of a root file system by itself. Image and container may give the root directory to any
# of the container's IDs, so its owner only says which container it is.
my sub default_id_map ($rootdir) {
    my @status = stat($rootdir)
        or PVE::OCI::Varlink::fail('OpenFailed', "cannot open '$rootdir': $!", { errno => $! + 0 });
    my ($uid, $gid) = map { /\A([0-9]+)\z/ } @status[4, 5]; # stat taints what it says
    return [] if $uid == 0;
    return [
        ['u', 0, PVE::OCI::IdMap::first_of_container('uidMap', $uid), 65536],
        ['g', 0, PVE::OCI::IdMap::first_of_container('gidMap', $gid), 65536],
    ];
}

my sub mapped_root ($id_map, $type) {
    my ($entry) = grep { $_->[0] eq $type && $_->[1] == 0 } $id_map->@*;
    return $entry ? $entry->[2] : 0;
}

# A root file system without a container's configuration.
my sub rootfs_place ($rootdir, $options) {
    if ($rootdir !~ m{\A(?:/(?!\.\.?(?:/|\z))[^/]+)+\z}s) {
        require File::Spec; # not above: it takes long to load, and most have an absolute path
        $rootdir = File::Spec->rel2abs($rootdir);
    }
    my $id_map = $options->{id_map} // default_id_map($rootdir);
    return {
        rootdir => $rootdir,
        id_maps => [$id_map, map { mapped_root($id_map, $_) } qw(u g)],
        messages => [],
    };
}

# Returns where the image came from, and what the registry has under that name now.
my sub registry_state ($place, $options) {
    # not above: it needs skopeo, which few commands do
    require PVE::OCI::Registry;
    my $origin = PVE::OCI::Origin::read_from($place->{rootdir}) // {};
    my $recorded = PVE::OCI::Registry::recorded($origin->{referenceName} // '');
    my $reference = $options->{reference} // ($recorded // {})->{text} // PVE::OCI::Varlink::fail(
        'RegistryFailed',
        'it is not recorded from which registry the image came: name it, as in'
            . ' docker.io/library/nginx:1.27, or update from an archive',
    );
    my $architecture = $options->{architecture} // ($origin->{platform} // {})->{architecture};
    my $image = PVE::OCI::Registry::resolve(
        $reference, { some($options, qw(authfile variant)), architecture => $architecture },
    );
    my $digest = ($recorded // {})->{digest};
    return {
        reference => $reference,
        recorded => $digest,
        current => $image->{digest},
        isCurrent => defined($digest) && $digest eq $image->{digest} ? 1 : 0,
        architecture => $architecture,
    };
}

my sub pull_and_update ($place, $options) {
    my $state = registry_state($place, $options);
    return { state => 'up to date', from => { referenceName => $state->{reference} } }
        if $state->{isCurrent};
    # not above: few updates need it
    require File::Temp;
    my $folder = File::Temp->newdir('pve-oci-update-XXXXXXXX', DIR => '/var/tmp');
    my $file = "$folder/image.tar";
    PVE::OCI::Registry::pull(
        $state->{reference}, $file,
        {
            some($options, qw(authfile home java mode progress socket variant)),
            architecture => $state->{architecture},
        },
    );
    return PVE::LXC::OCI::UpdateSteps::update($place, $file, $options);
}

# Verb => what it does with a place and the options.
my $ACTIONS = {
    compare => \&PVE::LXC::OCI::UpdateSteps::compare,
    forget => \&PVE::LXC::OCI::UpdateSteps::forget,
    outdated => \&registry_state,
    rollback => \&PVE::LXC::OCI::UpdateSteps::roll_back,
    update => sub ($place, $options) {
        return pull_and_update($place, $options) if $options->{pull};
        return PVE::LXC::OCI::UpdateSteps::update($place, $options->{archive}, $options);
    },
};

# Only one call at a time changes a root file system.
my sub changes_root ($action, $options) {
    return 0 if $options->{dry_run} || $action eq 'outdated';
    return $action ne 'compare' || defined($options->{checksum});
}

my sub run ($place, $action, $options) {
    $place->{lock} = PVE::OCI::RootLock::wait_for($place->{rootdir})
        if changes_root($action, $options);
    my $session = $place->{session} = PVE::OCI::Session->new();
    my $reply = eval { $ACTIONS->{$action}->($place, $options) };
    my $error = $@;
    $session->end();
    # what is open could not be unmounted
    delete $place->{lock};
    # messages from before an error help to understand it
    if (!defined($reply)) {
        warn "$_\n" for $place->{messages}->@*;
        die $error;
    }
    return { $reply->%*, messages => $place->{messages} };
}

sub on_rootfs ($action, $rootdir, $options = {}) {
    my $place = rootfs_place($rootdir, $options);
    my $reply;
    PVE::OCI::Signals::keep(sub { $reply = run($place, $action, $options) });
    return $reply;
}

my sub is_mounted ($path) {
    open(my $mounts, '<', '/proc/self/mounts') or return 0;
    return scalar(grep { (split(' ', $_))[1] eq $path } readline($mounts));
}

my sub take_snapshot ($vmid, $storage_cfg, $name) {
    my $conf = PVE::LXC::Config->load_config($vmid);
    die "the storage of CT $vmid cannot make snapshots: leave --snapshot out\n"
        if !PVE::LXC::Config->has_feature('snapshot', $conf, $storage_cfg);
    PVE::LXC::Config->snapshot_create($vmid, $name, 0, 'before an update of its image');
    return;
}

# Runs the action while the container is locked and its file systems are mounted. The lock is that
# of a file, so it is free when this process dies.
my sub in_container ($vmid, $storage_cfg, $action, $options) {
    my $conf = PVE::LXC::Config->load_config($vmid);
    PVE::LXC::Config->check_lock($conf);
    die "CT $vmid is a template\n" if $conf->{template};
    die "CT $vmid is running: stop it first\n" if PVE::LXC::check_running($vmid);
    # a call that was killed may have left it mounted
    PVE::LXC::umount_all($vmid, $storage_cfg, $conf, 1) if is_mounted("/var/lib/lxc/$vmid/rootfs");
    my $rootdir = PVE::LXC::mount_all($vmid, $storage_cfg, $conf);
    my $place = {
        rootdir => $rootdir,
        id_maps => [PVE::LXC::parse_id_maps($conf)],
        conf => $conf,
        write => sub ($changed) { PVE::LXC::Config->write_config($vmid, $changed) },
        messages => [],
    };
    my $reply = eval { run($place, $action, $options) };
    my $error = $@;
    my $is_unmounted = eval { PVE::LXC::umount_all($vmid, $storage_cfg, $conf, 0); 1 };
    die $error if !defined($reply);
    die "CT $vmid: $reply->{state}, but it cannot be unmounted: $@" if !$is_unmounted;
    return $reply;
}

sub on_container ($action, $number, $options = {}) {
    my ($vmid) = $number =~ /\A([1-9][0-9]{2,8})\z/ or invalid("'$number' is not a VMID");
    require PVE::LXC; # not above: root file systems need none of it
    require PVE::LXC::Config;
    require PVE::Storage;
    my $storage_cfg = PVE::Storage::config();
    take_snapshot($vmid, $storage_cfg, $options->{snapshot})
        if defined($options->{snapshot}) && !$options->{dry_run};
    my $reply;
    # also while file systems are mounted, so that a signal does not leave them so
    PVE::OCI::Signals::keep(sub {
        $reply = PVE::LXC::Config->lock_config(
            $vmid, sub { return in_container($vmid, $storage_cfg, $action, $options) },
        );
    });
    return $reply;
}

sub update_container ($vmid, $archive, $options = {}) {
    return on_container('update', $vmid, { $options->%*, archive => $archive });
}

1;
