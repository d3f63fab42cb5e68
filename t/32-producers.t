# Image archives that other tools write, made afresh: detect, inspect, verify and extract must
# agree on each of them, and the tree must be the image's. crane and Jib are not in Debian: their
# layout is made here.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use Digest::SHA qw(sha256_hex);
use File::Find ();
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use JSON;
use Test::More;

use RealDaemon;
use TestImage qw(entry write_image);
use TestSupport qw(home root);

plan skip_all => 'needs root' if $> != 0;
plan skip_all => 'not built: run make' if !-e home() . '/pve-oci.jar';

my $SHIFT = 100000;
my $CONFIG = { Cmd => ['/bin/hi'], Env => ['A=B'] };
my %TREE = (
    'bin' => '40755 0:0', 'bin/hi' => '104755 0:0 2 hi', 'bin/ho' => '104755 0:0 2 hi',
    'bin/link' => '120777 0:0 -> hi', 'etc' => '40750 7:8', 'etc/new' => '100600 1000:1000 1 2',
);
my $work = tempdir(CLEANUP => 1);
chmod(0755, $work) or die "$work: $!\n";
my $daemon = RealDaemon->start('--spares', 0);
my @DAEMON = ('--socket', $daemon->{socket});

sub has ($program) {
    return grep { -x "$_/$program" } split(/:/, $ENV{PATH});
}

sub run (@command) {
    my $text = join(' ', map { s/'/'\\''/gr =~ s/(.*)/'$1'/sr } @command);
    my $output = `$text 2>&1 </dev/null`; ## no critic (ProhibitBacktickOperators): short enough
    die "failed: @command\n$output" if $? != 0;
    return $output;
}

sub slurp ($path) {
    open(my $file, '<:raw', $path) or die "$path: $!\n";
    local $/ = undef;
    return scalar(<$file>);
}

sub spew ($path, $content) {
    open(my $file, '>:raw', $path) or die "$path: $!\n";
    print {$file} $content;
    close($file) or die "$path: $!\n";
    return $path;
}

# All below a directory, without times.
sub tree ($directory) {
    my %tree;
    my $wanted = sub {
        return if $File::Find::name eq $directory;
        my ($mode, $links, $uid, $gid) = (lstat($File::Find::name))[2 .. 5];
        my $line = sprintf('%o %d:%d', $mode, $uid - $SHIFT, $gid - $SHIFT);
        $line .= ' -> ' . readlink($File::Find::name) if -l _;
        $line .= " $links " . slurp($File::Find::name) if -f _;
        $tree{ substr($File::Find::name, length($directory) + 1) } = $line;
    };
    File::Find::find({ no_chdir => 1, wanted => $wanted }, $directory);
    return \%tree;
}

# The last JSON object that the command prints.
sub ask ($verb, @arguments) {
    my $output = run(root() . '/bin/pve-oci', $verb, '-q', '-j', @arguments);
    return decode_json($output);
}

sub check_one ($name, $archive, @mode) {
    my $rootfs = "$work/rootfs";
    run('rm', '-rf', $rootfs);
    mkdir($rootfs) or die "$rootfs: $!\n";
    chown($SHIFT, $SHIFT, $rootfs) or die "$rootfs: $!\n";
    my ($inspected, $verified, $extracted);
    my $lived = eval {
        like(ask('detect', @mode, $archive)->{format}, qr/^(?:oci|docker)/, "$name: detected");
        $inspected = ask('inspect', @mode, $archive);
        $verified = ask('verify', @mode, $archive)->{verified};
        $extracted = ask('extract', @mode, $archive, $rootfs);
        1;
    };
    ok($lived, "$name: read") or diag($@) or return;
    is_deeply([$extracted->{config}->@{qw(Cmd Env)}], [$CONFIG->@{qw(Cmd Env)}], "$name: config");
    is_deeply($inspected->{config}, $extracted->{config}, "$name: inspect tells the same");
    my $digest = $extracted->{result}->{manifestDigest};
    is($inspected->{manifest}->{digest}, $digest, "$name: inspect tells the manifest");
    ok((grep { $_->{digest} eq $digest } $verified->@*), "$name: verify tells the manifest");
    is_deeply(tree($rootfs), \%TREE, "$name: tree");
    return;
}

# As it is, compressed as a whole, and unpacked to a directory if it is a layout.
sub check ($name, $archive) {
    check_one($name, $archive, @DAEMON);
    for my $program (grep { has($_) } qw(gzip zstd)) {
        system("$program -qc < $archive > $work/outer") == 0 or die "$program failed\n";
        check_one("$name, in $program", "$work/outer", @DAEMON);
    }
    return if run('tar', '-tf', $archive) !~ m{^(?:\./)?oci-layout$}m;
    run('rm', '-rf', "$work/directory");
    make_path("$work/directory");
    run('tar', '-C', "$work/directory", '-xf', $archive);
    # umoci's blobs are root's alone, which a worker is not
    run('chmod', '-R', 'a+rX', "$work/directory");
    check_one("$name, as a directory", "$work/directory", @DAEMON);
    return;
}

my $base = write_image(
    "$work/base.tar", $CONFIG,
    entry('5', 'bin')
        . entry('0', 'bin/hi', mode => 04755, content => 'hi')
        . entry('1', 'bin/ho', link => 'bin/hi')
        . entry('2', 'bin/link', link => 'hi', mode => 0777)
        . entry('5', 'etc', mode => 0750, uid => 7, gid => 8)
        . entry('0', 'etc/old', content => '1'),
    entry('0', 'etc/.wh.old')
        . entry('0', 'etc/new', mode => 0600, uid => 1000, gid => 1000, content => '2'),
);
make_path("$work/layout");
run('tar', '-C', "$work/layout", '-xf', $base);

sub blob ($digest) {
    return slurp("$work/layout/blobs/" . $digest =~ s/:/\//r);
}

my $manifest =
    decode_json(blob(decode_json(slurp("$work/layout/index.json"))->{manifests}->[0]->{digest}));

# A docker archive of the base's blobs, as they are: members in this order.
sub docker_archive ($path, $config_name, $layer_name, $config_is_first) {
    my @layers = map { $_->{digest} } $manifest->{layers}->@*;
    my $list = [{
        Config => $config_name, RepoTags => ['example.org/base:1'],
        Layers => [map { $layer_name->($_) } @layers],
    }];
    my $config = entry('0', $config_name, content => blob($manifest->{config}->{digest}));
    my $content = join('', map { entry('0', $layer_name->($_), content => blob($_)) } @layers);
    $content = $config_is_first ? $config . $content : $content . $config;
    return spew(
        $path,
        $content . entry('0', 'manifest.json', content => encode_json($list)) . "\0" x 1024
    );
}

subtest 'crane, Jib and docker 25, from their layout' => sub {
    check('base', $base);
    my $hex_name = sub ($digest) { $digest =~ s/.*://r . '.tar.gz' };
    check(
        'crane',
        docker_archive("$work/crane.tar", $manifest->{config}->{digest}, $hex_name, 1)
    );
    check_one('crane, embedded', "$work/crane.tar", '--embedded');
    check('Jib', docker_archive("$work/jib.tar", 'config.json', $hex_name, 0));
    # docker 25 writes a layout that has a manifest.json besides
    my $blob_name = sub ($digest) { 'blobs/' . $digest =~ s/:/\//r };
    run('cp', '-r', "$work/layout", "$work/docker25");
    my $docker = docker_archive(
        "$work/docker.tar", $blob_name->($manifest->{config}->{digest}),
        $blob_name, 0
    );
    run('tar', '-C', "$work/docker25", '-xf', $docker);
    run('tar', '-C', "$work/docker25", '-cf', "$work/docker25.tar", '.');
    check('docker 25', "$work/docker25.tar");
};

subtest 'skopeo' => sub {
    plan skip_all => 'skopeo is not installed' if !has('skopeo');
    my @copy = ('skopeo', '--insecure-policy', 'copy', '-q', "oci-archive:$base");
    run(@copy, "docker-archive:$work/skopeo-docker.tar:example.org/base:1");
    check('docker-archive', "$work/skopeo-docker.tar");
    run(@copy, "oci-archive:$work/skopeo-oci.tar:1");
    check('oci-archive', "$work/skopeo-oci.tar");
    my @zstd = ('--dest-compress-format', 'zstd');
    if (eval { run(@copy, @zstd, "oci:$work/skopeo-zstd:1"); 1 }) {
        run('tar', '-C', "$work/skopeo-zstd", '-cf', "$work/skopeo-zstd.tar", '.');
        check('oci, layers with zstd', "$work/skopeo-zstd.tar");
    }
};

subtest 'umoci' => sub {
    plan skip_all => 'umoci is not installed' if !has('umoci');
    run('cp', '-r', "$work/layout", "$work/umoci");
    my $index = decode_json(slurp("$work/umoci/index.json"));
    $index->{manifests}->[0]->{annotations}->{'org.opencontainers.image.ref.name'} = '1';
    spew("$work/umoci/index.json", encode_json($index));
    run('umoci', 'unpack', '--image', "$work/umoci:1", "$work/bundle");
    spew("$work/bundle/rootfs/etc/newer", '3');
    run('umoci', 'repack', '--image', "$work/umoci:2", "$work/bundle");
    unlink("$work/bundle/rootfs/etc/newer") or die "newer: $!\n";
    run('umoci', 'repack', '--image', "$work/umoci:2", "$work/bundle");
    run('umoci', 'remove', '--image', "$work/umoci:1");
    run('umoci', 'gc', '--layout', "$work/umoci");
    my $answer = eval { ask('verify', @DAEMON, "$work/umoci") };
    like($@, qr/chmod -R a\+rX/, 'what the worker cannot read: the error says what to do')
        if !$answer;
    run(
        'tar', '-C', "$work/umoci", '-cf', "$work/umoci.tar", 'oci-layout', 'index.json',
        'blobs'
    );
    check('repacked', "$work/umoci.tar");
};

# Both keep images in a storage of their own, which needs no kernel's help with this driver.
for my $program (qw(buildah podman)) {
    subtest $program => sub {
        plan skip_all => "$program is not installed" if !has($program);
        my @storage =
            ('--root', "$work/$program", '--runroot', "$work/run", '--storage-driver', 'vfs');
        my $policy =
            spew("$work/policy.json", '{"default":[{"type":"insecureAcceptAnything"}]}');
        my $pulled = run(
            $program, @storage, 'pull', '-q', '--signature-policy', $policy,
            "oci-archive:$base"
        );
        my ($id) = $pulled =~ /^([0-9a-f]{64})$/m or die "no image in: $pulled\n";
        run($program, @storage, 'tag', $id, 'example.org/base:1');
        for my $format (qw(docker-archive oci-archive)) {
            my $to = "$work/$program-$format.tar";
            my @push = ('push', '--signature-policy', $policy, 'example.org/base:1');
            run($program, @storage, @push, "$format:$to:example.org/base:1");
            check($format, $to);
            next if $program ne 'podman';
            my @save = ('save', '-q', '--format', $format, '-o', "$work/save-$format.tar");
            run($program, @storage, @save, 'example.org/base:1');
            check("save, $format", "$work/save-$format.tar");
        }
    };
}

$daemon->stop();
done_testing();
