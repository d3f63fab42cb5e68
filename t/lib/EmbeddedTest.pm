# What the tests of the embedded engine share: two images, directories to extract into, and an
# extraction that lasts.
package EmbeddedTest;

use v5.36;

use Exporter qw(import);
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;

use PVE::OCI;
use PVE::OCI::JVM;
use TestImage qw(entry write_image);
use TestSupport qw(child_of wait_until);

our @EXPORT_OK = qw(
    $CONFIG $DIRECTORY $IMAGE $SLOW entries_of extract new_root open_fds
    owner_of plan_embedded slurp start_slow
);

our ($CONFIG, $DIRECTORY, $IMAGE, $SLOW);

my $serial = 0;

# Skips the whole test where it cannot run, makes the images where it can. No daemon is there to be
# reached.
sub plan_embedded() {
    plan(skip_all => 'needs root') if $> != 0;
    plan(skip_all => "no embedded engine: $@") if !eval { PVE::OCI::JVM::settings(); 1 };
    $DIRECTORY = tempdir(CLEANUP => 1);
    chmod(0755, $DIRECTORY) or die "chmod: $!\n";
    # a socket that the environment names would be one that somebody expects a daemon at
    delete $ENV{PVE_OCI_SOCKET};
    $PVE::OCI::DEFAULT_SOCKET = "$DIRECTORY/none";
    $CONFIG = { Cmd => ['/bin/sh', "tab\there"], Env => ['A=b'] };
    $IMAGE = write_image(
        "$DIRECTORY/image.tar", $CONFIG,
        entry('5', 'etc/')
            . entry('0', 'etc/motd', content => "hello\n", uid => 5, gid => 6, mode => 04755)
            . entry('2', 'link', link => 'etc/motd')
            . entry('3', 'device'),
        entry('0', 'etc/.wh.motd') . entry('0', 'etc/new', uid => 1005, content => 'x' x 10),
    );

    # Incompressible, so that a limit on the bandwidth makes it last.
    $SLOW = write_image(
        "$DIRECTORY/slow.tar", $CONFIG,
        join(
            '',
            map {
                entry('0', "file$_", content => join('', map { chr(rand(256)) } 1 .. 4096))
            } 1 .. 300
        ),
    );
    return;
}

sub new_root() {
    my $path = "$DIRECTORY/root" . $serial++;
    mkdir $path or die "mkdir $path: $!\n";
    return $path;
}

sub entries_of ($path) {
    opendir(my $directory, $path) or die "opendir $path: $!\n";
    return [sort grep { !/\A\.\.?\z/ } readdir($directory)];
}

sub owner_of ($path) {
    my @status = lstat($path) or return "$!";
    return "$status[4]:$status[5]";
}

sub extract ($rootdir, %options) {
    return scalar(PVE::OCI::parse_and_extract_image($IMAGE, $rootdir, undef, \%options));
}

sub open_fds() {
    return scalar(entries_of('/proc/self/fd')->@*);
}

# A child that extracts the slow image; returns its pid, the pids of its supervisor and its engine,
# and the rootfs, once the first file is there. The child's last words are in the file.
sub start_slow (%options) {
    my $rootdir = new_root();
    my $words = "$rootdir.words";
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        local $SIG{TERM} = sub { die "received interrupt\n" };
        eval {
            PVE::OCI::parse_and_extract_image(
                $SLOW, $rootdir, undef,
                { bwlimit => 100, %options }
            );
        };
        open(my $file, '>', $words) or POSIX::_exit(3);
        print $file $@;
        close($file);
        POSIX::_exit(0);
    }
    wait_until(sub { entries_of($rootdir)->@* > 2 }) or die "nothing is extracted\n";
    my $supervisor = child_of($pid);
    return ($pid, $supervisor, child_of($supervisor), $rootdir, $words);
}

sub slurp ($path) {
    open(my $file, '<', $path) or return "no file: $!";
    local $/ = undef;
    return readline($file) // '';
}

1;
