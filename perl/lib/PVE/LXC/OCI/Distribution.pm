package PVE::LXC::OCI::Distribution;

# Which distribution PVE takes an image for, and what follows from it: a distribution that it does
# not know would end the creation, one that it does not manage gets no /etc/hosts, and the settings
# for Alpine hide what the image has in /run.

use v5.36;

use PVE::LXC;
use PVE::LXC::Config;

use PVE::OCI::Rootfs;
use PVE::OCI::Text;

my $UNMANAGED = 'unmanaged';
my $MAX_RESOLV_CONF_SIZE = 64 * 1024;

our $RESOLV_CONF = '/etc/resolv.conf'; # the host's

# Older versions of pve-container write into these without making them first.
my $DIRECTORIES = {
    (map { $_ => ['/etc/network'] } qw(alpine debian devuan)),
    ubuntu => [qw(/etc/network /etc/systemd/network /etc/systemd/system-preset)],
    (map { $_ => [qw(/etc/systemd/network /etc/systemd/system-preset)] } qw(archlinux fedora)),
};

# The ostype that PVE would find, or an empty string and the reason why it would end the creation.
# Warnings are dropped here, because PVE will print them again.
my sub detect ($conf, $rootdir) {
    return if !eval { require PVE::LXC::Setup; 1 };
    my $copy = { $conf->%* };
    local $SIG{__WARN__} = sub { };
    return $copy->{ostype} if eval { PVE::LXC::Setup->new($copy, $rootdir); 1 };
    my ($reason) = $@ =~ /\A([^\n]*)/;
    return ('', $reason);
}

my sub is_application ($conf) {
    my ($init) = map { $_->[1] } grep { $_->[0] eq 'lxc.init.cmd' } ($conf->{lxc} // [])->@*;
    $init //= $conf->{entrypoint} // return 0;
    return $init !~ m{\A(?:/usr)?(?:/sbin/init|/lib/systemd/systemd)\s*\z};
}

my sub is_empty_directory ($path) {
    return 0 if -l $path || !opendir(my $handle, $path);
    return !grep { !/\A\.\.?\z/ } readdir($handle);
}

# What a file system mounted over the image's /run would hide, as a text, or ''. The empty /run/lock
# of Alpine's base image does not count, because no application needs it. If there is no /run, it is
# made, because otherwise nothing could be mounted there.
my sub hidden_in_run ($rootdir, $root_uid, $root_gid) {
    return PVE::OCI::Rootfs::run_in(
        $rootdir,
        sub {
            return '/run is a symbolic link' if -l '/run';
            PVE::OCI::Rootfs::make_directories('/run', $root_uid, $root_gid) if !-e '/run';
            opendir(my $handle, '/run') or return '/run is no directory';
            my ($name) = sort grep { $_ ne 'lock' || !is_empty_directory('/run/lock') }
                grep { !/\A\.\.?\z/ } readdir($handle);
            return defined($name) ? "/run holds " . PVE::OCI::Text::one_line($name) : '';
        },
    );
}

# The host's name servers and search list, those of $conf first.
my sub resolv_conf ($conf) {
    my ($content, $servers, $search) = ('', $conf->{nameserver}, $conf->{searchdomain});
    if (open(my $handle, '<', $RESOLV_CONF)) {
        read($handle, $content, $MAX_RESOLV_CONF_SIZE);
    }
    $servers //= join(' ', $content =~ /^\s*nameserver\s+([0-9a-fA-F.:%\w]+)/mg);
    $search //= join(' ', $content =~ /^\s*(?:search|domain)\s+([-.\w \t]+)/mg);
    my @lines = map { "nameserver $_\n" } split(/[\s,;\0]+/, $servers);
    my @domains = split(/[\s,;\0]+/, $search);
    unshift @lines, "search @domains\n" if @domains;
    return join('', @lines);
}

my sub host_name ($conf, $rootdir) {
    return $conf->{hostname} if defined($conf->{hostname}) && $conf->{hostname} ne '';
    return $rootdir =~ m{/([0-9]+)/[^/]*/*\z} ? "CT$1" : 'localhost';
}

my sub hosts ($conf, $name) {
    my @addresses;
    for my $device (grep { /\Anet[0-9]+\z/ } sort keys $conf->%*) {
        my $network = eval { PVE::LXC::Config->parse_lxc_network($conf->{$device}) } // next;
        push @addresses,
            map { m{\A([0-9a-fA-F.:]+)/} ? $1 : () } grep { defined($_) } $network->@{qw(ip ip6)};
    }
    @addresses = ('127.0.1.1') if !@addresses;
    my ($short) = $name =~ /\A([^.]*)/;
    my $names = $short eq $name ? $name : "$name $short";
    return join(
        '',
        map { "$_\n" } '127.0.0.1 localhost', '::1 localhost ip6-localhost ip6-loopback',
        map { "$_ $names" } @addresses,
    );
}

# Runs in rootfs, so a link that is followed ends in rootfs. A link that leads to nothing is
# replaced. A file with content stays, and so does anything that is no file.
my sub write_file ($path, $content, $uid, $gid) {
    my @status = stat($path);
    return 0 if @status && (!-f _ || -s _);
    PVE::OCI::Rootfs::replace_file($path, $content, $uid, $gid, 0644);
    return 1;
}

# Writes hosts, hostname and resolv.conf, as PVE does for the distributions that it manages.
my sub write_network_files ($conf, $rootdir, $warn) {
    my (undef, $uid, $gid) = PVE::LXC::parse_id_maps($conf);
    my $name = host_name($conf, $rootdir);
    my %content = (
        '/etc/hostname' => ($name =~ s/\..*\z//sr) . "\n",
        '/etc/hosts' => hosts($conf, $name),
        '/etc/resolv.conf' => resolv_conf($conf),
    );
    my $written = eval {
        PVE::OCI::Rootfs::run_in(
            $rootdir,
            sub {
                my $error = PVE::OCI::Rootfs::make_directories('/etc', $uid, $gid);
                die "$error\n" if $error ne '';
                return [grep { write_file($_, $content{$_}, $uid, $gid) } sort keys %content];
            },
        );
    };
    $warn->("cannot write /etc/hosts, /etc/hostname and /etc/resolv.conf: " . $@ =~ s/\n//gr) if $@;
    return if !$written || !$written->@*;
    printf(
        "wrote %s: change them in the container, PVE does not manage them there\n",
        join(', ', $written->@*),
    );
    return;
}

my sub make_directories ($conf, $rootdir, $type) {
    my $paths = $DIRECTORIES->{$type} // return;
    my (undef, $uid, $gid) = PVE::LXC::parse_id_maps($conf);
    PVE::OCI::Rootfs::run_in(
        $rootdir,
        sub {
            return [map { PVE::OCI::Rootfs::make_directories($_, $uid, $gid) } $paths->@*];
        },
    );
    return;
}

# Alpine's settings mount a tmpfs over /run of every container, for its init; an application may
# need what its image has there.
my sub settle_run ($conf, $rootdir, $warn) {
    my (undef, $uid, $gid) = PVE::LXC::parse_id_maps($conf);
    my $hidden = hidden_in_run($rootdir, $uid, $gid);
    return if $hidden eq '' || !is_application($conf);
    if (defined($conf->{ostype})) {
        $warn->(  "$hidden: ostype '$conf->{ostype}' mounts an empty file system over it, the"
                . " application will not find it; ostype '$UNMANAGED' does not");
        return;
    }
    print "$hidden, over which ostype 'alpine' would mount an empty file system:"
        . " the container becomes '$UNMANAGED'\n";
    $conf->{ostype} = $UNMANAGED;
    return;
}

# Sets ostype where PVE's own choice would not work, and makes the files in rootfs that this needs.
# An ostype that the user has set stays.
sub settle ($conf, $rootdir, $warn) {
    my ($type, $reason) = ($conf->{ostype});
    if (!defined($type)) {
        ($type, $reason) = detect($conf, $rootdir);
        if (defined($reason)) {
            $warn->(  "PVE does not know the image's distribution ($reason):"
                    . " the container becomes '$UNMANAGED'");
            $type = $conf->{ostype} = $UNMANAGED;
        }
    }
    settle_run($conf, $rootdir, $warn) if ($type // '') eq 'alpine';
    $type = $conf->{ostype} // $type // '';
    make_directories($conf, $rootdir, $type);
    write_network_files($conf, $rootdir, $warn) if $type eq $UNMANAGED;
    return;
}

1;
