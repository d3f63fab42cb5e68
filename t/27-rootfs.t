# PVE::OCI::Rootfs: a file is replaced as a whole or not at all.

use v5.36;

use Errno ();

# A close that fails when the test says so: some file systems notice only then that they are full.
my ($is_failing, $is_stopped) = (0, 0);

BEGIN {
    *CORE::GLOBAL::close = sub : prototype(;*) ($handle) {
        my $is_closed = CORE::close($handle);
        return $is_closed if !$is_failing;
        $! = Errno::ENOSPC();
        return 0;
    };
    # A signal for a child that was just made, such as for the whole group.
    *CORE::GLOBAL::fork = sub : prototype() () {
        my $pid = CORE::fork();
        kill(TERM => $$) if $is_stopped && defined($pid) && $pid == 0;
        return $pid;
    };
}

use FindBin;
use lib "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use POSIX ();
use Test::More;

use PVE::OCI::Rootfs;

plan(skip_all => 'needs root, to enter a rootfs') if $> != 0;

my $ROOTFS = tempdir(CLEANUP => 1);

sub replace ($content) {
    return PVE::OCI::Rootfs::run_in(
        $ROOTFS,
        sub { PVE::OCI::Rootfs::replace_file('/file', $content, 0, 0, 0640) }
    );
}

sub content() {
    return PVE::OCI::Rootfs::run_in(
        $ROOTFS,
        sub { scalar(PVE::OCI::Rootfs::read_file('/file', 100_000_000)) }
    );
}

replace('before');
is(content(), 'before', 'written');

{
    my $came_back = 0;
    local $SIG{TERM} = sub { die "received interrupt\n" };
    local $SIG{USR1} = sub { $came_back++ };
    my $main = $$;
    $is_stopped = 1;
    eval { content() };
    my $error = $@;
    # a child that comes back here would do all that the caller does then
    if ($$ != $main) {
        kill(USR1 => $main);
        POSIX::_exit(0);
    }
    $is_stopped = 0;
    is($came_back, 0, 'no handler takes the child back to the caller\'s code');
    ok($error eq '' || $error =~ /ended without a result/, '... which goes on') or diag($error);
}

$is_failing = 1;
eval { replace('after') };
$is_failing = 0;
is($@, "cannot write '/file' in rootfs: No space left on device\n", 'an error at close is told');
is(content(), 'before', '... and the file is as it was');
is(join(' ', glob("$ROOTFS/{.[!.],}*")), "$ROOTFS/file", '... and nothing is left behind');

SKIP: {
    skip('needs mount', 3)
        if system('mount', '-t', 'tmpfs', '-o', 'size=64k', 'none', $ROOTFS) != 0;
    replace('before');
    eval { replace('x' x 1_000_000) };
    is($@, "cannot write '/file' in rootfs: No space left on device\n", 'no room to write');
    is(content(), 'before', '... and the file is as it was');
    is(join(' ', glob("$ROOTFS/{.[!.],}*")), "$ROOTFS/file", '... and nothing is left behind');
    system('umount', $ROOTFS);
}

done_testing();
