package PVE::LXC::Setup;

# Stand-in for tests: finds the distribution as the original does, of few.

use v5.36;

my sub read_file ($path) {
    open(my $handle, '<', $path) or return;
    local $/ = undef;
    return readline($handle);
}

sub new ($class, $conf, $rootdir) {
    my $release = read_file("$rootdir/etc/os-release");
    my ($id) = ($release // '') =~ /^ID=(\w+)/m;
    my $type = !defined($release) ? 'unmanaged' : $id // '';
    warn "unknown ID '$type'\n" if $type !~ /\A(?:unmanaged|alpine|debian|ubuntu)\z/;
    die "unable to detect OS distribution\n" if $type !~ /\A(?:unmanaged|alpine|debian|ubuntu)\z/;
    die "unable to read version info\n"
        if $type eq 'debian' && !defined(read_file("$rootdir/etc/debian_version"));
    $conf->{ostype} = $type;
    return bless({}, $class);
}

1;
