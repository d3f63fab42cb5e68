# What holds for every Perl file: it compiles under taint mode without warnings, its documentation is
# well-formed, it keeps the limits on lines and columns.

use v5.36;

use File::Find qw(find);
use FindBin;
use Pod::Checker ();
use Test::More;

my $TREE = "$FindBin::Bin/..";

my @modules;
find({ wanted => sub { push @modules, $_ if /\.(?:pm|pod)\z/ }, no_chdir => 1 }, "$TREE/perl/lib");
my @programs = grep { -e $_ } "$TREE/bin/pve-oci";

# Needs the modules of a Proxmox VE host, or their stand-ins.
my @stand_ins = -d "$FindBin::Bin/lib/stand-ins" ? ("-I$FindBin::Bin/lib/stand-ins") : ();

for my $file (sort(@modules), @programs) {
    my $name = $file =~ s{\A\Q$TREE\E/}{}r;
    if ($file !~ /\.pod\z/) {
        my $output = qx($^X -T -I$TREE/perl/lib @stand_ins -wc $file 2>&1);
        is($output, "$file syntax OK\n", "$name compiles");
    }
    my $checker = Pod::Checker->new(-warnings => 1);
    open(my $null, '>', '/dev/null') or die $!;
    $checker->parse_from_file($file, $null);
    cmp_ok($checker->num_errors(), '<=', 0, "$name: no errors in its documentation");
    is($checker->num_warnings(), 0, "$name: no warnings in its documentation");
    open(my $handle, '<', $file) or die $!;
    my @lines = <$handle>;
    cmp_ok(scalar(@lines), '<=', 400, "$name: at most 400 lines");
    is_deeply(
        [grep { length($lines[$_ - 1]) > 111 || $lines[$_ - 1] =~ /\t/ } 1 .. @lines], [],
        "$name: columns"
    );
}

done_testing();
