# Options are taken from a command line as Getopt::Long takes them. Compared on random lines; the
# seed is in the name of the test.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../perl/lib";

use Getopt::Long;
use Test::More;

use PVE::OCI::CLI::Options;

my $TABLE = $PVE::OCI::CLI::Options::TABLE;
my $LINES = 5000;

# What the command did before it read options by itself. A + began options too, which nobody knew
# of, and which kept archives with such names from being read.
my sub by_getopt_long (@words) {
    my ($given, @complaints) = ({});
    my $parser = Getopt::Long::Parser->new(
        config => [qw(bundling no_auto_abbrev no_ignore_case permute prefix_pattern=--|-)],
    );
    my @specs = map {
        my $names = join('|', $_, $TABLE->{$_}->{short} // ());
        $TABLE->{$_}->{spec} eq '' ? $names : "$names=$TABLE->{$_}->{spec}";
    } sort keys $TABLE->%*;
    local $SIG{__WARN__} = sub ($text) { chomp($text); push @complaints, lcfirst($text) };
    $parser->getoptionsfromarray(\@words, $given, @specs);
    return (\@words, $given, @complaints);
}

my @names = (keys $TABLE->%*, map { $_->{short} // () } values $TABLE->%*);

my sub random_word() {
    my $name = $names[rand @names];
    my @words = (
        "--$name", "--$name", "--$name=x", "--$name=", "--$name=a=b",
        '--' . substr($name, 0, -1),
        "--\u$name", '--no' . $name, '--=', '--=x=y', '--x', '-x', '-j', '-jqv', '-qxj', '-j=1',
        '-jx-', '-j-', '-', '--', "-\n", "--a\nb=c\nd", 'extract', 'a=b', '', '0', "\x{e4}",
        '--socket=0', '--arch=0',
    );
    return $words[rand @words];
}

my $seed = $ENV{PVE_OCI_TEST_SEED} // time();
srand($seed);
my $difference;
for (1 .. $LINES) {
    my @words = map { random_word() } 1 .. 1 + int(rand(6));
    my @want = by_getopt_long(@words);
    my ($arguments, $given, @complaints) = PVE::OCI::CLI::Options::parse(@words);
    # ours name options as they are typed
    my @got = ($arguments, $given, map { s/\b(option:?) --?/$1 /r } @complaints);
    next if eq_array(\@got, \@want);
    $difference = \@words;
    is_deeply(\@got, \@want, 'this line is read as by Getopt::Long: ' . join(' | ', @words));
    last;
}
ok(!$difference, "$LINES random lines, seed $seed");

is_deeply(
    [PVE::OCI::CLI::Options::parse('detect', '+image.tar')],
    [['detect', '+image.tar'], {}],
    'a word that begins with + is an argument'
);

done_testing();
