# What a root directory may hold before an image is extracted into it: one table for both the daemon
# and the embedded engine. Both allow the same and refuse the rest in the same words, and leave what
# was there as it was.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Find qw(find);
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;

use PVE::OCI;
use PVE::OCI::JVM;
use RealDaemon;
use TestImage qw(entry write_image);

plan(skip_all => 'needs root') if $> != 0;
plan(skip_all => "no embedded engine: $@") if !eval { PVE::OCI::JVM::settings(); 1 };
# mounts of the test's own, which end with it
if (!$ENV{PVE_OCI_TEST_INNER}) {
    local $ENV{PVE_OCI_TEST_INNER} = 1;
    exec('unshare', '-m', '--propagation', 'private', $^X, $0) or die "unshare: $!\n";
}

my $DIRECTORY = tempdir(CLEANUP => 1);
chmod(0755, $DIRECTORY) or die "chmod: $!\n";
my $IMAGE = write_image("$DIRECTORY/image.tar", {}, entry('0', 'image', content => 'x'));
my $ONLY = 'only lost+found and volumes mounted below it may hold anything but directories';

my $daemon = RealDaemon->start('--spares', 0);
my %ENGINES = (
    daemon => { socket => $daemon->{socket}, mode => 'daemon' },
    embedded => { mode => 'embedded' },
);

my sub make_file ($path) {
    open(my $file, '>', $path) or die "$path: $!\n";
    print {$file} 'data';
    close($file) or die "$path: $!\n";
    return;
}

my sub make_link ($path) {
    symlink('/etc', $path) or die "symlink $path: $!\n";
    return;
}

my sub make_fifo ($path) {
    POSIX::mkfifo($path, 0644) or die "mkfifo $path: $!\n";
    return;
}

my sub make_volume ($path) {
    mkdir($path) or die "mkdir $path: $!\n";
    system('mount', '-t', 'tmpfs', 'volume', $path) == 0 or die "mount failed\n";
    return;
}

my sub make_file_mount ($path) {
    make_file($path);
    system('mount', '--bind', $IMAGE, $path) == 0 or die "mount failed\n";
    return;
}

my sub make_crowd ($path) {
    mkdir("$path$_") or die "mkdir: $!\n" for 1 .. 10_001;
    return;
}

# What is made, in this order: a path, and how if it is no directory; then the reason for which the
# directory is refused.
my @CASES = (
    ['nothing'],
    ['directories', ['a'], ['a/b'], ['a/b/c'], ['d']],
    ['lost+found with something in it', ['lost+found'], ['lost+found/#1', \&make_file]],
    ['a volume', ['data', \&make_volume]],
    ['a volume with data', ['data', \&make_volume], ['data/file', \&make_file]],
    [
        'a volume of a file system with data',
        ['data', \&make_volume],
        ['data/lost+found'],
        ['data/link', \&make_link],
    ],
    ['a volume further below', ['a'], ['a/b', \&make_volume], ['a/b/file', \&make_file]],
    [
        'a volume in a volume', ['a', \&make_volume],
        ['a/b', \&make_volume],
        ['a/b/c', \&make_file]
    ],
    ['a mount point that is a file', ['file', \&make_file_mount]],
    ['a file', ['file', \&make_file], "it holds file; $ONLY"],
    ['a link', ['link', \&make_link], "it holds link; $ONLY"],
    ['a pipe', ['pipe', \&make_fifo], "it holds pipe; $ONLY"],
    [
        'a file further below', ['a'], ['a/b'], ['a/b/file', \&make_file],
        "it holds a/b/file; $ONLY"
    ],
    [
        'a file beside a volume',
        ['data', \&make_volume],
        ['file', \&make_file],
        "it holds file; $ONLY"
    ],
    [
        'lost+found that is not at the top',
        ['a'], ['a/lost+found'],
        ['a/lost+found/file', \&make_file],
        "it holds a/lost+found/file; $ONLY"
    ],
    ['lost+found that is a file', ['lost+found', \&make_file], "it holds lost+found; $ONLY"],
    ['a name of two lines', ["a\nb", \&make_file], "it holds a\\x0ab; $ONLY"],
    ['a name that is no UTF-8', ["a\xffb", \&make_file], "it holds a\\xffb; $ONLY"],
    ['a name in UTF-8', ["\xc3\xa4", \&make_file], "it holds \x{e4}; $ONLY"],
    ['many directories', ['a', \&make_crowd], 'it holds more than 10000 entries'],
);

# Every path below the directory with type, mode, owner and size.
my sub listing ($top) {
    my @found;
    find(
        {
            no_chdir => 1,
            wanted => sub {
                my @status = lstat($_);
                my $size = -d _ ? 0 : $status[7];
                push @found, join(' ', substr($_, length($top)), @status[2, 4, 5], $size);
            },
        },
        $top
    );
    return [sort @found];
}

my sub check ($engine, $top, $expected, @entries) {
    mkdir($top) or die "mkdir $top: $!\n";
    for my $entry (@entries) {
        my ($path, $make) = $entry->@*;
        if ($make) {
            $make->("$top/$path");
        } else {
            mkdir("$top/$path") or die "mkdir $path: $!\n";
        }
    }
    my $before = listing($top);
    my $is_made = eval {
        PVE::OCI::parse_and_extract_image($IMAGE, $top, undef, $ENGINES{$engine});
        1;
    };
    my $error = $@;
    if (defined($expected)) {
        is($error, "root directory $top is not empty: $expected\n", "$engine: refused");
        is($error->{name}, 'io.pve.oci.RootDirectoryNotEmpty', '... by name') if ref($error);
        is_deeply(listing($top), $before, '... as it was');
    } else {
        is($error, '', "$engine: allowed");
        my %is_there = map { $_ => 1 } listing($top)->@*;
        # the directory itself is the image's now
        my @lost = grep { !$is_there{$_} } grep { !/\A / } $before->@*;
        is_deeply(\@lost, [], '... all is there that was');
        ok(-e "$top/image", '... and what the image has');
    }
    return;
}

my $serial = 0;
for my $case (@CASES) {
    my ($name, @entries) = $case->@*;
    my $expected = @entries && !ref($entries[-1]) ? pop(@entries) : undef;
    subtest $name => sub {
        for my $engine (sort keys %ENGINES) {
            check($engine, "$DIRECTORY/root" . $serial++, $expected, @entries);
        }
    };
}

# the folder can be removed when nothing is mounted in it
open(my $mounts, '<', '/proc/self/mounts') or die "mounts: $!\n";
my @points = grep { m{\A\Q$DIRECTORY\E/} } map { (split(/ /))[1] } readline($mounts);
is(system('umount', reverse(@points)), 0, 'nothing holds a volume');

done_testing();
