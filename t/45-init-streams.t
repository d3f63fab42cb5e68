# Whose streams /.pve.init gives to the application's user: it runs as root in a root directory like
# that of a privileged container, where a change of the host's terminals would be permitted.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use POSIX ();
use Test::More;

use InitRootfs;
use PVE::OCI::Env;

if (my $missing = InitRootfs::missing()) {
    plan(skip_all => $missing);
}
if (!$ENV{PVE_OCI_TEST_INNER}) {
    local $ENV{PVE_OCI_TEST_INNER} = 1;
    exec('unshare', '-m', '--propagation', 'private', $^X, $0) or die "unshare: $!\n";
}
my ($ARCH) = { x86_64 => 'amd64', aarch64 => 'arm64' }->{ qx(uname -m) =~ s/\s//gr };
my $INIT = $ARCH && InitRootfs::build_init($ARCH);
plan(skip_all => 'no /.pve.init for this machine') if !$INIT;

my ($USER, $ROOT) = (1000, 0);
my $ROOTDIR = InitRootfs::create();
my $OTHER = "$ROOTDIR.pts"; # devpts of another container
system('cp', $INIT, "$ROOTDIR/.pve.init") == 0 or die "cp failed\n";
mkdir($_) or die "$_: $!\n" for $OTHER, "$ROOTDIR/dev/pts";

sub mount_at ($path, @options) {
    system('mount', @options, $path) == 0 or die "mount $path failed\n";
    return;
}

sub write_file ($path, $content) {
    open(my $handle, '>:raw', $path) or die "$path: $!\n";
    print {$handle} $content;
    close($handle) or die "$path: $!\n";
    return;
}

END {
    local $?;
    system("umount $ROOTDIR/dev/console $OTHER $ROOTDIR/dev/pts 2>/dev/null")
        if defined($ROOTDIR);
}

write_file(
    "$ROOTDIR/.pve.env",
    PVE::OCI::Env::encode({ command => ['/bin/dump'], uid => $USER, gid => 1001 })
);

# Runs /.pve.init on this handle, as process 1 or beside it, and returns the user that the program
# was started as.
sub run_on ($handle, @unshare) {
    truncate("$ROOTDIR/out", 0) or die "truncate: $!\n";
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        open($_, '+<&', $handle) or POSIX::_exit(99) for \*STDIN, \*STDOUT, \*STDERR;
        my @command = @unshare ? () : ('/bin/dump');
        exec(@unshare, 'chroot', $ROOTDIR, '/.pve.init', @command) or POSIX::_exit(99);
    }
    waitpid($pid, 0);
    return InitRootfs::dumped($ROOTDIR)->{ids} // 'nobody';
}

sub is_given_to ($expected, $name, $open) {
    for my $as (['process 1', qw(unshare --pid --fork)], ['a command beside it']) {
        my ($which, @unshare) = $as->@*;
        my ($master, $terminal) = $open->();
        is((stat($terminal))[4], $ROOT, "$name, $which: root's before");
        is(run_on($terminal, @unshare), "$USER 1001", '... it has run');
        is((stat($terminal))[4], $expected, $expected ? '... then the user\'s' : '... and after');
    }
    return;
}

my $of = sub ($directory) {
    return sub { InitRootfs::open_terminal($directory) }
};

is_given_to($ROOT, 'of the host, and no devpts in the container', $of->('/dev/pts'));
mount_at($_, qw(-t devpts devpts)) for $OTHER, "$ROOTDIR/dev/pts";
is_given_to($ROOT, 'of the host', $of->('/dev/pts'));
is_given_to($ROOT, 'of another container', $of->($OTHER));
is_given_to($USER, 'of the container', $of->("$ROOTDIR/dev/pts"));

# Older versions of LXC put a terminal of the host at /dev/console, for this container alone.
my ($master, $console, $path) = InitRootfs::open_terminal('/dev/pts');
write_file("$ROOTDIR/dev/console", '');
mount_at("$ROOTDIR/dev/console", '--bind', $path);
is_given_to($ROOT, 'of the host, beside the console', $of->('/dev/pts'));
is((stat($console))[4], $ROOT, 'the console is root\'s as well');
is_given_to(
    $USER,
    'the console',
    sub {
        chown($ROOT, -1, $console) or die "chown: $!\n";
        return ($master, $console);
    }
);

done_testing();
