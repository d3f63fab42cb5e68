#!/usr/bin/perl
# pve-oci pull: from a real registry on loopback to a verified image archive.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use JSON;
use Test::More;
use Time::HiRes qw(sleep);

use PVE::OCI::Registry;
use TestImage;
use TestRegistry;
use TestSupport qw(root wait_until);

my $WHY = TestRegistry::unavailable();
plan(skip_all => $WHY) if defined($WHY);

my $FOLDER = tempdir(CLEANUP => 1);
my $REGISTRY = TestRegistry->start();
my $AUTH = $REGISTRY->authfile();

# 2 MB that do not compress, so that a transfer can break in the middle of it
sub image ($file, $version) {
    srand(1);
    my $noise = join('', map { pack('N', int(rand(2**32))) } 1 .. 500_000);
    return TestImage::write_image(
        "$FOLDER/$file",
        { Cmd => [$version] },
        TestImage::entry('0', 'noise', content => $noise)
            . TestImage::entry('0', 'version', content => $version),
    );
}

sub pve_oci (@arguments) {
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        chdir($FOLDER) or POSIX::_exit(99);
        open(STDOUT, '>', "$FOLDER/out") or POSIX::_exit(99);
        open(STDERR, '>', "$FOLDER/err") or POSIX::_exit(99);
        exec(root() . '/bin/pve-oci', @arguments) or POSIX::_exit(98);
    }
    return $pid;
}

sub text_of ($name) {
    open(my $handle, '<', "$FOLDER/$name") or die "$name: $!\n";
    local $/ = undef;
    return <$handle> // '';
}

sub run (@arguments) {
    waitpid(pve_oci(@arguments, '--embedded', '--authfile', $AUTH), 0);
    return ($? >> 8, text_of('out'), text_of('err'));
}

sub run_plain (@arguments) {
    waitpid(pve_oci(@arguments, '--embedded'), 0);
    return ($? >> 8, text_of('out'), text_of('err'));
}

sub names() {
    opendir(my $handle, $FOLDER) or die $!;
    return [sort grep { !/\A\.\.?\z|\A(?:out|err|source.*)\z/ } readdir($handle)];
}

image('source1.tar', 'one');
$REGISTRY->push_image("oci-archive:$FOLDER/source1.tar", 'team/app:1');
$REGISTRY->push_image("oci-archive:$FOLDER/source1.tar", 'team/docker:1', '--format', 'v2s2');
my $NAME = $REGISTRY->address() . '/team/app:1';
$REGISTRY->push_index('team/app', 'multi', '1', [qw(amd64 arm64)]);
my $MULTI = $REGISTRY->address() . '/team/app:multi';

subtest 'references' => sub {
    my $digest = 'sha256:' . '0' x 64;
    my @cases = (
        # reference, name, tag, digest
        ['nginx', 'nginx', 'latest', undef],
        ['docker://nginx:1.27', 'nginx', '1.27', undef],
        ['localhost:5000/a/b_c:T.1', 'localhost:5000/a/b_c', 'T.1', undef],
        ["ghcr.io/a/b\@$digest", 'ghcr.io/a/b', undef, $digest],
        ["a/b:1\@$digest", 'a/b', '1', $digest],
    );
    for my $case (@cases) {
        my ($text, @wanted) = $case->@*;
        is_deeply([PVE::OCI::Registry::parse($text)->@{qw(name tag digest)}], \@wanted, $text);
    }
    my @wrong = (
        '', '-v', '--help', 'a b', "a\n", 'a:', 'a/', '/a', 'a@sha256:1', 'oci:/etc', 'a/../b',
        'docker-archive:/etc/passwd', 'a;b', 'A/B',
    );
    for my $text (@wrong) {
        is(eval { PVE::OCI::Registry::parse($text) }, undef, "'$text' is refused");
        like($@, qr/is not the name of an image in a registry/, 'with a reason');
    }
};

subtest 'an image is pulled, verified and can be extracted' => sub {
    my ($code, $out, $err) = run('pull', $NAME);
    is($code, 0, 'exit code') or diag($err);
    like($out, qr/app_1\.tar/, 'the file is named');
    is_deeply(names(), ['app_1.tar'], 'and is all there is');
    ($code, $out) = run_plain('inspect', 'app_1.tar', '--json');
    my $images = decode_json($out)->{images};
    my $recorded = PVE::OCI::Registry::recorded($images->[0]->{referenceName});
    is($recorded->{text}, $NAME, 'its reference name says where it is from');
    is($recorded->{digest}, $images->[0]->{manifest}->{digest}, 'and the digest there');
};

subtest 'a docker manifest keeps the digest that the registry has' => sub {
    my ($code, $out, $err) = run('pull', $REGISTRY->address() . '/team/docker:1', 'docker.tar');
    is($code, 0, 'exit code') or diag($err);
    (undef, $out) = run_plain('inspect', 'docker.tar', '--json');
    my $image = decode_json($out)->{images}->[0];
    my $recorded = PVE::OCI::Registry::recorded($image->{referenceName});
    isnt(
        $recorded->{digest}, $image->{manifest}->{digest},
        'skopeo has converted the manifest'
    );
    my $now = PVE::OCI::Registry::resolve($recorded->{text}, { authfile => $AUTH });
    is($now->{digest}, $recorded->{digest}, 'up to date');
};

subtest 'by digest' => sub {
    my $digest = PVE::OCI::Registry::resolve($NAME, { authfile => $AUTH })->{digest};
    my ($code) = run('pull', $REGISTRY->address() . "/team/app\@$digest", 'digest.tar');
    is($code, 0, 'exit code');
};

subtest 'an existing file is not replaced' => sub {
    my ($code, undef, $err) = run('pull', $NAME);
    is($code, 2, 'exit code');
    like($err, qr/'app_1\.tar' is there already: remove it, or give another name/, 'message');
};

my $AFTER = names();
my @FAILURES = (
    # what, arguments, message
    [
        'a tag that is not there', ['pull', $REGISTRY->address() . '/team/app:9', 'x.tar'],
        qr/pve-oci: pull: .*manifest unknown/,
    ],
    [
        'an architecture that is not there', ['pull', $MULTI, 'x.tar', '--arch', 's390x'],
        qr{has no image for linux/s390x; it has linux/amd64, linux/arm64$}m,
    ],
    ['a folder that is not there', ['pull', $NAME, 'no/x.tar'], qr/cannot write to 'no'/],
    [
        'an authfile that is not there', ['pull', $NAME, 'x.tar', '--authfile', '/no/auth'],
        qr/authfile '\/no\/auth' does not exist/,
    ],
);
for my $case (@FAILURES) {
    my ($what, $arguments, $message) = $case->@*;
    subtest $what => sub {
        waitpid(pve_oci('pull', '--authfile', $AUTH, $arguments->@[1 .. $#$arguments]), 0);
        isnt($? >> 8, 0, 'exit code');
        like(text_of('err'), $message, 'message');
        is(text_of('err') =~ tr/\n//, 1, 'one line');
        is_deeply(names(), $AFTER, 'nothing is left');
    };
}

subtest 'a wrong password, and none' => sub {
    for my $auth ($REGISTRY->authfile('wrong'), undef) {
        waitpid(pve_oci('pull', $NAME, 'x.tar', $auth ? ('--authfile', $auth) : ()), 0);
        is($? >> 8, 1, 'exit code');
        like(text_of('err'), qr/unauthorized|authentication required/, 'message');
        is_deeply(names(), $AFTER, 'nothing is left');
    }
};

subtest 'a transfer that breaks' => sub {
    $REGISTRY->set('cut', 1);
    my ($code, undef, $err) = run('pull', $NAME, 'x.tar');
    $REGISTRY->set('cut', 0);
    is($code, 1, 'exit code');
    like($err, qr/\Apve-oci: pull: .*\S.*\n\z/, 'one line says why');
    is_deeply(names(), $AFTER, 'nothing is left');
};

subtest 'cancelled in the middle' => sub {
    $REGISTRY->set('stall', 1);
    my $pid = pve_oci('pull', $NAME, 'x.tar', '--authfile', $AUTH);
    my ($folder, $size);
    wait_until(sub {
        ($folder) = glob("$FOLDER/.pve-oci-pull-*");
        $size = defined($folder) ? `du -sk $folder` : '';
        return ($size =~ /\A([0-9]+)/ ? $1 : 0) > 100;
    }) or diag('nothing was transferred');
    kill('INT', $pid);
    waitpid($pid, 0);
    $REGISTRY->set('stall', 0);
    is($? >> 8, 130, 'exit code');
    like(text_of('err'), qr/interrupted/, 'message');
    is_deeply(names(), $AFTER, 'nothing is left');
    my @running = grep { /skopeo/ && /\Q$FOLDER\E/ } `ps -eo args`;
    is_deeply(\@running, [], 'no skopeo goes on');
};

subtest 'of an index, the manifest of the architecture' => sub {
    my ($code, undef, $err) = run('pull', $MULTI, 'multi.tar', '--arch', 'arm64');
    isnt($code, 0, 'the image itself is for another one');
    like($err, qr/arm64/, 'which is said');
    is_deeply(names(), $AFTER, 'nothing is left');
};

subtest 'without skopeo' => sub {
    my $script = 'mount --bind /dev/null /usr/bin/skopeo && exec "$@"';
    my $command = join(' ', map { "'$_'" } root() . '/bin/pve-oci', 'pull', $NAME, "$FOLDER/x");
    my $text = `unshare -m sh -c '$script' sh $command 2>&1`;
    is($? >> 8, 1, 'exit code');
    is($text, "pve-oci: pull: skopeo is not installed: apt-get install skopeo\n", 'what to do');
};

done_testing();
