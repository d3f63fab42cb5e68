# PVE::OCI against a daemon that plays scripts: broken replies, errors, configs and arguments that
# are refused.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use JSON;
use Test::More;

use ClientTest qw($ARCHIVE $RESULT $ROOTFS extract);
use PVE::OCI;

my $LOST = 'connection to pve-ocid lost';
my @BROKEN = (
    ['closed at once', [['close']], qr{\A$LOST: .*\n\z}],
    ['closed after the call', [['sleep', 0]], qr/\A$LOST: .*\n\z/],
    [
        'closed in the middle', [['raw', '{"parameters":']],
        qr/\A$LOST: it was closed in the middle of a reply\n\z/
    ],
    [
        'closed after progress', [['reply', { continues => JSON::true, parameters => {} }]],
        qr/\A$LOST: .*\n\z/
    ],
    ['not JSON', [['raw', "hello\0"]], qr/\A$LOST: a reply is not JSON\n\z/],
    ['a list', [['raw', "[]\0"]], qr/\A$LOST: a reply is not an object\n\z/],
    ['null', [['raw', "null\0"]], qr/\A$LOST: .*\n\z/],
    ['too deep', [['raw', ('[' x 100_000) . "\0"]], qr/\A$LOST: .*\n\z/],
    [
        'parameters a string', [['raw', '{"parameters":"x"}' . "\0"]],
        qr/\A$LOST: a reply without parameters\n\z/
    ],
    ['an empty frame', [['raw', "\0"]], qr/\A$LOST: .*\n\z/],
    [
        'no config', [['reply', { parameters => { result => $RESULT } }]],
        qr/\A$LOST: no image config.*\n\z/
    ],
    [
        'config a list', [['reply', { parameters => { result => $RESULT, config => [] } }]],
        qr/\A$LOST: no image config.*\n\z/
    ],
    [
        'config null', [['reply', { parameters => { result => $RESULT, config => undef } }]],
        qr/\A$LOST: no image config.*\n\z/
    ],
    [
        'no result', [['reply', { parameters => { config => {} } }]],
        qr/\A$LOST: no result.*\n\z/
    ],
    ['nothing', [['raw', "{}\0"]], qr/\A$LOST: .*\n\z/],
    [
        'progress a list',
        [['reply', { continues => JSON::true, parameters => { progress => [] } }]],
        qr/\A$LOST: progress .*\n\z/
    ],
    [
        'an error that is an object', [['reply', { error => {} }]],
        qr/\A$LOST: an error without a name\n\z/
    ],
    [
        'an error with a newline', [['reply', { error => "a\nb" }]],
        qr/\A$LOST: an error without a name\n\z/
    ],
);
for my $case (@BROKEN) {
    my ($name, $script, $expected) = $case->@*;
    my ($daemon, $error, @got) = extract($script);
    like($error, $expected, "broken reply: $name");
}

subtest 'a reply without end is cut off' => sub {
    local $PVE::OCI::Varlink::MAX_REPLY_SIZE = 100_000;
    my ($daemon, $error) = extract([['raw', 'x' x 300_000], ['wait_eof']]);
    like($error, qr/\A$LOST: reply of more than 100000 bytes\n\z/, 'refused');
};

subtest 'a large reply is taken' => sub {
    my $config = { Env => [map { "V$_=" . 'x' x 1000 } 1 .. 3000] };
    my ($daemon, $error, $got) =
        extract([['reply', { parameters => { result => $RESULT, config => $config } }]]);
    is($error, '', 'no error');
    is_deeply($got, $config, '3 MB of config');
};

subtest 'errors of the daemon' => sub {
    my $message =
        'layer 3/7 sha256:12, entry dev/null: mknodat: Operation not permitted (EPERM)';
    my $parameters = { message => $message, errno => 1, layerIndex => 2 };
    my ($daemon, $error) =
        extract([['reply', { error => 'io.pve.oci.EntryFailed', parameters => $parameters }]]);
    is($error, "$message\n", 'the message as it is');
    my $fields =
        { name => 'io.pve.oci.EntryFailed', message => $message, parameters => $parameters };
    is(ref($error), 'PVE::OCI::Error', 'an object');
    is_deeply({ $error->%* }, $fields, 'its fields have the rest');
    is_deeply(PVE::OCI::last_error(), $fields, 'last_error has them for one release more');
    is("create failed: $error", "create failed: $message\n", 'a string where one is wanted');
    chomp(my $line = $error);
    is($line, $message, 'chomp works');
    is(
        eval { die $error } // ref($@), 'PVE::OCI::Error',
        'it stays an object when it is passed on'
    );
    ($daemon, $error) =
        extract([['reply', { error => 'io.pve.oci.NoSuchJob', parameters => { id => 'x' } }]]);
    is($error, "pve-ocid answered io.pve.oci.NoSuchJob id=x\n", 'without message');
    ($daemon, $error) =
        extract(
            [['reply', { error => 'io.pve.oci.X', parameters => { message => "two\nlines\e[1m" } }]]
        );
    is($error, "two\\x0alines\\x1b[1m\n", 'one clean line');
    ($daemon, $error) =
        extract([['reply', { error => 'io.pve.oci.X', parameters => { message => [] } }]]);
    is($error, "pve-ocid answered io.pve.oci.X\n", 'a message that is no string');
};

subtest 'control characters in the config are refused' => sub {
    my @bad = (
        { WorkingDir => "/a\nlxc.hook.pre-start=x" }, { Cmd => ["a\0b"] }, { Env => ["A=\0"] },
        { Entrypoint => ["\0"] }, { WorkingDir => "/w\x{9b}1m" }, { User => "\x{85}" },
        { StopSignal => "\x7f" }, { Volumes => { "/\x{80}" => {} } },
        { WorkingDir => "/\r" }, { User => "root\n" }, { StopSignal => "TERM\e" },
        { Volumes => { "/a\n" => {} } },
        { Env => [['x']] }, { Cmd => [undef] }, { User => \1 },
    );
    for my $config (@bad) {
        eval { PVE::OCI::check_config($config) };
        like(
            $@,
            qr/\Aimage configuration: \w+ holds a (?:control character|NUL|value that is no )/,
            'refused'
        );
    }
    my ($daemon, $error) =
        extract([['reply', { parameters => { result => $RESULT, config => $bad[0] } }]]);
    is(
        $error, "image configuration: WorkingDir holds a control character\n",
        'after an extraction too'
    );
    eval {
        PVE::OCI::check_config({
            Env => ["A=\ttab", "B=\x{e4}", "C=a\nb\e[m\x{9b}\x7f"],
            Entrypoint => ['sh', '-c', "a\nb"], WorkingDir => "/a\tb", Cmd => undef,
            Labels => { text => "two\nlines" },
            Volumes => {},
        });
    };
    is($@, '', 'tabs, umlauts, null and labels are fine');
};

my @INVALID = (
    ['map is a hash', { id_map => {} }], ['map of a bad type', { id_map => [['x', 0, 0, 1]] }],
    ['map of three', { id_map => [['u', 0, 1]] }],
    ['map of words', { id_map => [['u', 'a', '0', '1']] }],
    ['limit is a word', { max_bytes => 'many' }], ['limit is negative', { max_entries => -1 }],
    ['bwlimit', { bwlimit => '1k' }], ['relative socket', { socket => 'x' }],
    ['socket with newline', { socket => "/tmp/a\n" }],
    ['long socket', { socket => '/' . 'x' x 108 }],
);
for my $case (@INVALID) {
    my ($name, $options) = $case->@*;
    eval { PVE::OCI::extract_image($ARCHIVE, $ROOTFS, { socket => '/nonexistent', $options->%* }) };
    is($@->{name}, 'InvalidArgument', "refused before it is sent: $name");
    like($@, qr/\A[^\n]+\n\z/, '... with one line');
}

done_testing();
