# The create flow where mount points are mounted in the root file system, as PVE does it before it
# extracts: by the real daemon, on real mounts.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/lib/stand-ins", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use Test::More;

use LxcContainer;
use TestImage qw(entry write_image);

if (my $missing = LxcContainer::missing()) {
    plan(skip_all => $missing);
}

require PVE::LXC::OCI;
require PVE::RESTEnvironment;
require RealDaemon;

my $DIRECTORY = tempdir(CLEANUP => 1);
chmod(0755, $DIRECTORY) or die $!;
my $daemon = RealDaemon->start('--spares', 0);
local $ENV{PVE_OCI_SOCKET} = $daemon->{socket};
my $serial = 0;

sub slurp ($path) {
    open(my $handle, '<', $path) or return "$path: $!";
    local $/ = undef;
    return readline($handle) // '';
}

sub write_file ($path, $content) {
    open(my $handle, '>', $path) or die "$path: $!";
    print {$handle} $content;
    close($handle) or die $!;
    chown(100000, 100000, $path) or die $!;
    return;
}

sub listing ($directory) {
    opendir(my $handle, $directory) or return "$directory: $!";
    return join(' ', sort grep { !/\A\.\.?\z/ } readdir($handle));
}

sub status ($path) {
    my @status = lstat($path);
    return sprintf('%o %d:%d', $status[2] & 07777, @status[4, 5]);
}

# A root file system with a volume at /data, as PVE mounts one for an unprivileged container: owned
# by the container's root, on ext4 with lost+found.
sub new_rootfs ($type, %files) {
    my $rootdir = "$DIRECTORY/rootfs" . $serial++;
    mkdir($_) or die $! for $rootdir, "$rootdir/data";
    chown(100000, 100000, $rootdir, "$rootdir/data") or die $!;
    if ($type eq 'ext4') {
        my $disk = "$DIRECTORY/disk" . $serial++;
        system("truncate -s 8M $disk && mkfs.ext4 -q -E root_owner=100000:100000 $disk") == 0
            or return;
        system("mount -o loop $disk $rootdir/data 2>/dev/null") == 0 or return;
    } else {
        my $options = 'uid=100000,gid=100000,mode=755';
        system('mount', '-t', 'tmpfs', '-o', $options, 'volume', "$rootdir/data") == 0
            or die "mount\n";
    }
    write_file("$rootdir/data/$_", $files{$_}) for keys %files;
    return $rootdir;
}

# Creates a container of these layers; returns the error, and the configuration.
sub create ($rootdir, $config, @layers) {
    my $top = entry('5', 'bin/') . entry('0', 'bin/app', mode => 0755, content => 'x');
    my $archive = write_image("$DIRECTORY/image" . $serial++ . '.tar', $config, $top, @layers);
    my $conf = { unprivileged => 1 };
    @PVE::RESTEnvironment::warnings = ();
    open(my $log, '>', \my $text) or die $!;
    my $stdout = select($log);
    eval { PVE::LXC::OCI::restore_archive({ ids => {} }, $archive, $rootdir, $conf, 0, undef); };
    my $error = $@;
    select($stdout);
    return ("$error", $conf);
}

sub unmount ($rootdir) {
    is(system('umount', "$rootdir/data"), 0, 'nothing holds the volume');
    return;
}

my $CONFIG = { Cmd => ['/bin/app'], Volumes => { '/data' => {} } };
my $DATA = entry('5', 'data/', mode => 0700, uid => 999, gid => 998);

subtest 'an empty volume gets owner, mode and content of the image\'s directory' => sub {
    my $rootdir = new_rootfs('tmpfs');
    my ($error) =
        create($rootdir, $CONFIG, $DATA . entry('0', 'data/seed', uid => 999, content => 'seed'));
    is($error, '', 'created');
    is(status("$rootdir/data"), '700 100999:100998', 'owner and mode');
    is(slurp("$rootdir/data/seed"), 'seed', 'content');
    is_deeply(\@PVE::RESTEnvironment::warnings, [], 'nothing to warn of');
    unmount($rootdir);
};

subtest 'a volume of a mount point that the image does not have' => sub {
    my $rootdir = new_rootfs('tmpfs');
    my ($error) = create($rootdir, $CONFIG);
    is($error, '', 'created');
    is(status("$rootdir/data"), '755 100000:100000', 'the container\'s root has it');
    unmount($rootdir);
};

subtest 'a volume that holds data is given to a new container' => sub {
    for my $layer ('', $DATA, $DATA . entry('0', 'data/other', content => 'x')) {
        my $rootdir = new_rootfs('tmpfs', 'keep.txt' => 'precious');
        mkdir("$rootdir/data/deep") or die $!;
        write_file("$rootdir/data/deep/er", 'precious too');
        my ($error) = create($rootdir, $CONFIG, $layer);
        is($error, '', 'created');
        ok(-e "$rootdir/bin/app" && -e "$rootdir/.pve.init", '... the rest is there');
        is(slurp("$rootdir/data/keep.txt"), 'precious', '... the data is as it was');
        is(slurp("$rootdir/data/deep/er"), 'precious too', '... all of it');
        is(status("$rootdir/data/keep.txt"), '644 100000:100000', '... with its owner');
        unmount($rootdir);
    }
};

subtest 'but the root file system itself must be empty' => sub {
    my $rootdir = new_rootfs('tmpfs');
    write_file("$rootdir/file", 'x');
    my ($error) = create($rootdir, $CONFIG);
    like($error, qr/not empty/, 'refused');
    is(listing($rootdir), 'data file', 'as it was');
    unmount($rootdir);
};

# Whatever a layer does there: the data stays, and an error names the mount point.
my %LAYERS = (
    'a link in its place' => [entry('2', 'data', link => '/etc')],
    'a file in its place' => [entry('0', 'data', content => 'x')],
    'a hard link in its place' => [entry('1', 'data', link => 'bin/app')],
    'a marker that removes it' => [entry('0', '.wh.data')],
    'an opaque marker in it' => [$DATA . entry('0', 'data/.wh..wh..opq')],
    'an opaque marker above it' => [entry('0', '.wh..wh..opq')],
    'a marker of its file' => [$DATA . entry('0', 'data/.wh.keep.txt')],
    'a file of the same name' => [$DATA . entry('0', 'data/keep.txt', content => 'new')],
    'a link of the same name' => [$DATA . entry('2', 'data/keep.txt', link => '/bin/app')],
    'a directory of the same name' => [$DATA . entry('5', 'data/keep.txt/')],
    'made, then removed by the next layer' =>
        [$DATA . entry('0', 'data/x', content => 'x'), entry('0', '.wh.data')],
);
for my $name (sort keys %LAYERS) {
    subtest "a layer has $name" => sub {
        my $rootdir = new_rootfs('tmpfs', 'keep.txt' => 'precious');
        my ($error) = create($rootdir, $CONFIG, $LAYERS{$name}->@*);
        is(slurp("$rootdir/data/keep.txt"), 'precious', 'the data is as it was');
        ok(!-l "$rootdir/data", 'the mount point is there');
        if ($error ne '') {
            like(
                $error, qr{'?/?data\b[^\n]*mount point|mount point[^\n]*data},
                'named in the error'
            );
            is(listing($rootdir), 'data', 'the root file system is as it was');
        }
        note($error);
        unmount($rootdir);
    };
}

subtest 'lost+found of a new file system' => sub {
    my $rootdir = new_rootfs('ext4');
    plan(skip_all => 'no loop devices') if !defined($rootdir);
    my ($error) = create($rootdir, $CONFIG, $DATA);
    is($error, '', 'created');
    is(
        status("$rootdir/data"), '700 100999:100998',
        'owner and mode of the image\'s directory'
    );
    my @told = grep { /lost\+found/ } @PVE::RESTEnvironment::warnings;
    is(scalar(@told), 1, 'told once');
    like($told[0], qr{\Avolume /data }, '... with the volume\'s name');
    unmount($rootdir);
    $rootdir = new_rootfs('ext4', 'keep.txt' => 'precious');
    ($error) = create($rootdir, $CONFIG, $DATA);
    is($error, '', 'created with data beside it');
    is_deeply([grep { /lost\+found/ } @PVE::RESTEnvironment::warnings], [], 'not told');
    unmount($rootdir);
};

done_testing();
