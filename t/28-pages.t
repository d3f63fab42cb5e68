#!/usr/bin/perl
# The manual pages, as man/make-pages makes them: what is not filled fits a terminal of 80 columns,
# and a list in the interface's comments is one.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use Test::More;

use TestSupport qw(root);

my $WIDTH = 73; # of a line with the blanks that it has in the source; man adds seven

my $pages = tempdir(CLEANUP => 1);
chdir(root()) or die "chdir: $!\n";
is(system('man/make-pages', $pages), 0, 'pages are made');

sub content ($path) {
    open(my $handle, '<:encoding(UTF-8)', $path) or die "open $path: $!\n";
    my $content = do { local $/ = undef; <$handle> };
    close($handle) or die "close $path: $!\n";
    return $content;
}

my ($verbatim, @wide) = (0);
for my $path (glob("$pages/*")) {
    for my $block (content($path) =~ /^\.Vb \d+\n(.*?)^\.Ve$/msg) {
        for my $line (split(/\n/, $block)) {
            $verbatim++;
            my $shown = $line =~ s/\\(?:&|f[A-Z])//gr =~ s/\\(?:\*\(..|\(..|[-e])/-/gr;
            push @wide, "$path: $shown" if length($shown) > $WIDTH;
        }
    }
}
cmp_ok($verbatim, '>', 100, 'lines that are not filled');
is_deeply(\@wide, [], "beyond $WIDTH columns");

my $interface = content("$pages/io.pve.oci.7");
my ($steps) = $interface =~ /^\.SS "ApplyUpdate"\n(.*?)^\.SS/ms;
is_deeply(
    [$steps =~ /^\.IP "?\\fB(\w+)\\fR/mg],
    [qw(switch finish abandon reopen rollBack forget record)],
    'the steps of an update are a list',
);
like($steps, qr/^Only for peers with uid 0\.$/m, 'and what follows the list does not belong to it');

done_testing();
