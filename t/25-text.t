# How foreign text is shown: PVE::OCI::Text, with the same vectors as for the Java class Text.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use JSON;
use Test::More;

use FakeDaemon;

use PVE::OCI::Text;

my $VECTORS = "$FindBin::Bin/../java/src/test/resources/shown-text.json";

sub vectors () {
    open(my $handle, '<:raw', $VECTORS) or die "$VECTORS: $!\n";
    local $/ = undef;
    return decode_json(readline($handle));
}

subtest 'texts' => sub {
    for my $vector (vectors()->{texts}->@*) {
        my ($unsafe, $shown) = $vector->@{qw(unsafe shown)};
        my $name = JSON->new->ascii->allow_nonref->encode($shown);
        utf8::upgrade($unsafe);
        is(PVE::OCI::Text::clean($unsafe), $shown, "characters: $name");
        is(PVE::OCI::Text::clean($shown), $shown, "cleaned twice: $name");
        utf8::encode($unsafe);
        is(PVE::OCI::Text::clean($unsafe), $shown, "bytes: $name");
    }
};

subtest 'bytes' => sub {
    is(PVE::OCI::Text::clean(pack('H*', $_->{bytes})), $_->{shown}, $_->{bytes})
        for vectors()->{bytes}->@*;
};

subtest 'lines, JSON and sizes' => sub {
    is(PVE::OCI::Text::one_line("a\nb \n"), 'a\x0ab', 'a line has no blanks at its end');
    is(PVE::OCI::Text::clean("a\x{d800}b"), 'a?b', 'half of a surrogate pair');
    my $data = { "a\x{9b}" => "\x{202e}\x{1f600}\x7f\x{e4}" };
    my $ascii = PVE::OCI::Text::ascii_json(JSON->new->encode($data));
    like($ascii, qr/\A[\x20-\x7e]+\z/, 'JSON of printable ASCII');
    is_deeply(JSON->new->decode($ascii), $data, 'with the same meaning');
    is(PVE::OCI::Text::size($_->[0]), $_->[1], "size $_->[1]")
        for [0, '0 B'], [1536, '1.5 KiB'], ["1\e[2J", '1\x1b[2J'];
};

my $PROGRAM = "$FindBin::Bin/../bin/pve-oci";
my $DIRECTORY = tempdir(CLEANUP => 1);

# What a command prints on a terminal.
sub on_terminal (@command) {
    my $text = qx{script -qec '@command' /dev/null </dev/null};
    return $text =~ s/\r\n/\n/gr;
}

subtest 'the command on a terminal' => sub {
    plan skip_all => 'script(1) is not installed'
        if system('script --version >/dev/null 2>&1') != 0;
    my $hostile = "a\x{9b}1m\x{202e}b\x7f\x{1f600}";
    my $reply = {
        images => [], manifest => { digest => 'sha256:12', size => 1, mediaType => $hostile },
        platform => { architecture => 'amd64', os => $hostile }, layers => [],
        config => { Cmd => [$hostile] }, rawConfig => qq({"a":"$hostile"}),
    };
    for my $options ([], ['--json'], ['--config'], ['--raw'], ['--output-format=json-pretty']) {
        my $daemon = FakeDaemon->start([['reply', { parameters => $reply }]]);
        my $text =
            on_terminal($PROGRAM, 'inspect', '--socket', $daemon->socket(), $options->@*, 'a');
        utf8::decode($text);
        unlike($text, qr/[\x00-\x09\x0b-\x1f\x7f-\x9f\x{202e}]/, "inspect @{$options}");
        like($text, qr/1f600|ud83d|\x{1f600}/, 'shows the rest');
    }
};

subtest 'the command with a damaged /.pve.env' => sub {
    plan skip_all => 'needs root, to enter a rootfs' if $> != 0;
    my $escape = "\e]0;owned\a\e[2J\xc2\x9b\n<0>x";
    for my $content (
        "pve.env 1 1 1 0 0\0$escape\0a\0", "$escape\0",
        "pve.env 1 1 1 0 0\0A=$escape\0$escape\0"
    ) {
        open(my $handle, '>:raw', "$DIRECTORY/.pve.env") or die $!;
        print {$handle} $content;
        close($handle) or die $!;
        for my $options ('', '--command', '--json', 'unset X', 'set "\e[2J"') {
            my $text = qx{$PROGRAM env $DIRECTORY $options 2>&1};
            utf8::decode($text);
            unlike($text, qr/[\x00-\x09\x0b-\x1f\x7f]|^<0>/m, "env $options");
        }
    }
};

done_testing();
