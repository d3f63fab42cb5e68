# What is shown of foreign text: PVE::OCI::Text by the same vectors as Java's class Text.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../perl/lib";

use JSON;
use Test::More;

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
        utf8::upgrade($unsafe);
        is(PVE::OCI::Text::clean($unsafe), $shown, "characters: $shown");
        is(PVE::OCI::Text::clean($shown), $shown, "cleaned twice: $shown");
        utf8::encode($unsafe);
        is(PVE::OCI::Text::clean($unsafe), $shown, "bytes: $shown");
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

done_testing();
