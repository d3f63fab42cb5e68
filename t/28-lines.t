#!/usr/bin/perl
# No line that the project owns, of code or of prose, goes beyond 120 columns (Perl: 100, see t/23),
# and no file of code has more than 400 lines.

use v5.36;

use Test::More;

my $LIMIT = 120;
my $LINES_LIMIT = 400;

# A table row or an address cannot be broken; what others wrote is theirs.
my @EXCEPT = (
    qr{\ALICENSE\z}, qr{\Adebian/copyright\z}, qr{\Abench/results/},
    qr{\.(?:svg|png|gz|tar|patch)\z},
    qr{\Ajava/src/test/resources/}, qr{\Ajava/src/test/fuzz/},
);

my @files = eval { split(/\n/, `git ls-files 2>/dev/null`) };
plan(skip_all => 'not a git checkout: the list of files comes from git') if !@files;

my (@long, @large);
for my $file (@files) {
    next if grep { $file =~ $_ } @EXCEPT;
    open(my $handle, '<:encoding(UTF-8)', $file) or next;
    while (my $line = <$handle>) {
        chomp($line);
        next if length($line) <= $LIMIT || $line =~ m{https?://} || $line =~ /\A\|/;
        push @long, "$file:$.: " . length($line);
    }
    push @large, "$file: $." if $. > $LINES_LIMIT && $file =~ /\.(?:java|pm|t|c|h|py|sh)\z/;
    close($handle);
}
is_deeply(\@long, [], "lines beyond $LIMIT columns") or diag(join("\n", @long));
is_deeply(\@large, [], "files of code beyond $LINES_LIMIT lines") or diag(join("\n", @large));

done_testing();
