# The verb env: the environment and the command in a stopped container's rootfs.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use JSON;
use Test::More;

use PVE::OCI::Env;

plan(skip_all => 'needs root, to enter a rootfs') if $> != 0;

my $PROGRAM = "$FindBin::Bin/../bin/pve-oci";
my $ROOTFS = tempdir(CLEANUP => 1);
my $FILE = "$ROOTFS/.pve.env";

sub run (@arguments) {
    my $pid = open(my $pipe, '-|') // die $!;
    if ($pid == 0) {
        open(STDERR, '>&', \*STDOUT) or die $!;
        exec($PROGRAM, 'env', @arguments) or POSIX::_exit(99);
    }
    my $text = do { local $/ = undef; <$pipe> }
        // '';
    close($pipe);
    return ($? >> 8) . "|$text";
}

sub write_file ($content) {
    unlink($FILE);
    open(my $handle, '>:raw', $FILE) or die $!;
    print {$handle} $content;
    close($handle) or die $!;
}

my $DATA = {
    variables => ['A=1 2', 'B='], command => ['/bin/sh', '-c', "it's"], uid => 5, gid => 6,
    groups => [7]
};
write_file(PVE::OCI::Env::encode($DATA));
chown(100000, 100006, $FILE) or die $!;
chmod(0640, $FILE) or die $!;

is(run($ROOTFS), "0|A=1 2\nB=\n", 'lists variables');
is(run($ROOTFS, 'list'), "0|A=1 2\nB=\n", 'also when asked to');
is(run($ROOTFS, '--command'), "0|/bin/sh\n-c\nit's\n", 'shows the command');
is(
    run($ROOTFS, 'set', 'B=b=b', "C=\xc3\xa4 \$x"), "0|A=1 2\nB=b=b\nC=\xc3\xa4 \$x\n",
    'sets, in place and new'
);
is(run($ROOTFS, 'unset', 'A', 'B'), "0|C=\xc3\xa4 \$x\n", 'unsets');
is(run('--command', $ROOTFS, '--', '/bin/x', '-q', ''), "0|/bin/x\n-q\n\n", 'replaces the command');
is_deeply(
    decode_json(run($ROOTFS, '-j') =~ s/\A0\|//r),
    {
        variables => ["C=\xe4 \$x"], command => ['/bin/x', '-q', ''], uid => 5, gid => 6,
        groups => [7], directory => '', init => JSON::false,
    },
    'all as JSON, ids have stayed',
);
is(run($ROOTFS, '--init', 'on'), "0|init: on\n", 'the mode with an init');
ok(decode_json(run($ROOTFS, '-j') =~ s/\A0\|//r)->{init}, '... stays on');
is(run($ROOTFS, '--init', 'off'), "0|init: off\n", '... until it is off');
ok(!decode_json(run($ROOTFS, '-j') =~ s/\A0\|//r)->{init}, '... and stays off');
is(
    sprintf('%o %d %d', (stat($FILE))[2] & 07777, (stat($FILE))[4, 5]), '640 100000 100006',
    'owner and mode have stayed'
);
is(
    join(' ', sort map { s{.*/}{}r } glob("$ROOTFS/{.[!.],}*")), '.pve.env',
    'nothing is left behind'
);

for my $case (
    [['unset', 'NONE'], 1, "variable 'NONE' is not set"],
    [['set', 'x'], 1, "'x' is not NAME=VALUE"],
    [['set', '=x'], 1, "'=x' is not NAME=VALUE"], [['set'], 2, 'set wants names'],
    [['list', 'x'], 2, 'list takes no more words'],
    [['frob'], 2, "'frob' is not one of list, set, unset"],
) {
    my ($words, $code, $message) = $case->@*;
    is(run($ROOTFS, $words->@*), "$code|pve-oci: env: $message\n", "refused: @$words");
}
is(
    run("$ROOTFS/none"),
    "1|pve-oci: env: cannot enter rootfs '$ROOTFS/none': No such file or directory\n",
    'no rootfs'
);

is(
    run($ROOTFS, '--init', 'on', 'list'),
    "2|pve-oci: env: --init excludes --command and other words\n",
    'init and words'
);
like(run($ROOTFS, '--init', 'x'), qr/\A2\|pve-oci: env: --init must be one of on, off\n/, 'init x');
is(
    run($ROOTFS, 'set', 'BIG=' . 'x' x 131_000, 'A=1'),
    '0|' . join('', map { "$_\n" } "C=\xc3\xa4 \$x", 'BIG=' . 'x' x 131_000, 'A=1'),
    'a large variable'
);
my @many = map { "V$_=" . 'x' x 110_000 } 1 .. 18;
write_file(PVE::OCI::Env::encode({ $DATA->%*, variables => \@many }));
like(
    run($ROOTFS, 'set', 'W=' . 'x' x 120_000),
    qr/\A1\|pve-oci: env: 19 variables and 3 arguments need 2\d+ bytes, .*is variable 'W' /,
    'more than the kernel takes'
);

write_file(join('', map { "$_\0" } 'pve.env 1 1 1 5 6', 'A=1', '/x'));
is(run($ROOTFS, 'set', 'A=2'), "0|A=2\n", 'a file of version 1');
is(PVE::OCI::Env::read_from($ROOTFS)->{version}, 1, '... stays one');
like(run($ROOTFS, '--init', 'on'), qr/older pve-oci/, '... whose /.pve.init has no such mode');

my $good = PVE::OCI::Env::encode($DATA);
for my $bad (
    substr($good, 0, -1), "${good}x", "${good}x\0", '', "\0", 'pve.env 1 0 1',
    "pve.env 1 0 0 0 0\0",
    "pve.env 2 0 1 0 0\0x\0", "pve.env 3 0 0 1 0 0\0\0x\0", "pve.env 2 0 0 1 0 0\0",
    "pve.env 1 1 1 0 0\0A\0x\0",
) {
    write_file($bad);
    like(run($ROOTFS), qr/\A1\|pve-oci: env: [^\n]+\n\z/, 'damaged: ' . $bad =~ s/\0/./gr);
}
unlink($FILE);
is(
    run($ROOTFS),
    "1|pve-oci: env: there is no /.pve.env in '$ROOTFS': containers have it"
        . " that pct create has made from an OCI image\n",
    'no file'
);
symlink('/etc/passwd', $FILE) or die $!;
is(
    run($ROOTFS, 'set', 'A=b'), "1|pve-oci: env: '/.pve.env' in rootfs is not a regular file\n",
    'a link is not followed'
);

done_testing();
