package PVE::OCI::Origin;

# The file /.pve.oci.json in a container's rootfs: which image it was made from, with what the image
# said then, and which ones it was made from before. The container's root can change it: untrusted.

use v5.36;

use POSIX ();

use PVE::OCI;
use PVE::OCI::Rootfs;
use PVE::OCI::Varlink;

our $PATH = '/.pve.oci.json';

my $MAX_SIZE = 4 * 1024 * 1024;
my $MAX_HISTORY = 16;

my @CONFIG_KEYS = qw(Cmd Entrypoint Env StopSignal User Volumes WorkingDir);

# Digests, platform and reference name of what was extracted.
sub make ($result, $config) {
    my $origin = {
        version => 1,
        creator => "pve-oci $PVE::OCI::VERSION",
        created => POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', gmtime()),
        manifestDigest => $result->{manifestDigest},
        configDigest => $result->{configDigest},
        platform => $result->{platform},
        config => { map { $_ => $config->{$_} } grep { defined($config->{$_}) } @CONFIG_KEYS },
    };
    $origin->{referenceName} = $result->{referenceName} if defined($result->{referenceName});
    return $origin;
}

# The new origin remembers the old one: digest, name and time of the last images, the newest first.
sub add_history ($origin, $before) {
    my @earlier = ref($before->{history}) eq 'ARRAY' ? $before->{history}->@* : ();
    my %entry = map { $_ => $before->{$_} }
        grep { defined($before->{$_}) && !ref($before->{$_}) }
        qw(manifestDigest referenceName created);
    unshift @earlier, \%entry if %entry;
    splice(@earlier, $MAX_HISTORY) if @earlier > $MAX_HISTORY;
    $origin->{history} = \@earlier;
    return;
}

# Writes the origin of a root file system that was extracted by hand, for diff and update.
sub note ($rootdir, $reply) {
    my @status = stat($rootdir) or die "cannot look at '$rootdir': $!\n";
    my ($uid, $gid) = map { /\A([0-9]+)\z/ } @status[4, 5]; # stat taints what it says
    require File::Spec;                                     # not above: few commands do this
    write_to(File::Spec->rel2abs($rootdir), make($reply->@{qw(result config)}), $uid, $gid);
    return;
}

# For code given to PVE::OCI::Rootfs::run_in: reads the file; undef if there is none, or none that
# can be used.
sub read_inside () {
    my $content = eval { PVE::OCI::Rootfs::read_file($PATH, $MAX_SIZE) };
    my $origin =
        defined($content) ? eval { PVE::OCI::Varlink::json()->utf8->decode($content) } : undef;
    return ref($origin) eq 'HASH' ? $origin : undef;
}

# The same from outside. $rootdir as for PVE::OCI::Rootfs::run_in.
sub read_from ($rootdir) {
    return PVE::OCI::Rootfs::run_in($rootdir, \&read_inside);
}

# The file, as PVE::OCI::Rootfs::replace_files takes it.
sub file ($origin, $uid, $gid) {
    my $content = PVE::OCI::Varlink::json()->utf8->canonical->pretty->encode($origin);
    return [$PATH, $content, $uid, $gid, 0600];
}

sub write_to ($rootdir, $origin, $uid, $gid) {
    PVE::OCI::Rootfs::replace_files($rootdir, file($origin, $uid, $gid));
    return;
}

# The image's config then, if it is one that a container can be made from; otherwise undef.
sub config_of ($origin) {
    my $config = ($origin // {})->{config};
    return eval { PVE::OCI::check_config($config); 1 } ? $config : undef;
}

# The directories that the image wanted for its data.
sub volumes_of ($config) {
    my $volumes = ($config // {})->{Volumes};
    return ref($volumes) eq 'HASH' ? sort keys $volumes->%* : ();
}

1;
