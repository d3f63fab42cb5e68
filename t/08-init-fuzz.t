# The parser of /.pve.env, and what explains why a command cannot be executed, under
# AddressSanitizer and UndefinedBehaviorSanitizer. PVE_OCI_TEST_FUZZ_SECONDS says how long, and the
# seed is said, so that a failure can be seen again: PVE_OCI_TEST_FUZZ_SEED.

use v5.36;

use FindBin;

use File::Temp qw(tempdir);
use Test::More;

my $NATIVE = "$FindBin::Bin/../native";
my $SECONDS = $ENV{PVE_OCI_TEST_FUZZ_SECONDS} // 3;
my $SEED = $ENV{PVE_OCI_TEST_FUZZ_SEED} // time();
my $DIRECTORY = tempdir(CLEANUP => 1);

open(my $probe, '>', "$DIRECTORY/probe.c") or die $!;
print {$probe} "int main(void) { return 0; }\n";
close($probe) or die $!;
my @COMPILER = (
    qw(gcc -std=gnu11 -g -O1 -Wall -Wextra -fno-sanitize-recover=all),
    '-fsanitize=address,undefined'
);
plan(skip_all => 'needs gcc with sanitizers')
    if system("@COMPILER -o $DIRECTORY/probe $DIRECTORY/probe.c >/dev/null 2>&1") != 0;

# the harness has its own end for errors
my @parts = (
    ["$NATIVE/init-system.c", '-Dfail=fail_and_exit'], ["$NATIVE/init-file.c"],
    ["$NATIVE/init-explain.c"], ["$FindBin::Bin/lib/fuzz-init.c"],
);
my @objects;
for my $part (@parts) {
    my ($source, @options) = $part->@*;
    push @objects, "$DIRECTORY/" . @objects . '.o';
    is(system(@COMPILER, @options, "-I$NATIVE", '-c', '-o', $objects[-1], $source), 0, $source);
}
is(system(@COMPILER, '-o', "$DIRECTORY/fuzz", @objects), 0, 'linked');
note("PVE_OCI_TEST_FUZZ_SEED=$SEED");
my $output = qx($DIRECTORY/fuzz $SECONDS $SEED $DIRECTORY/program 2>&1);
is($?, 0, "seed $SEED: nothing was found") or diag($output);
my ($tried, $accepted) = $output =~ /(\d+) tried, (\d+) accepted/;
note($output);
cmp_ok($accepted // 0, '>', 100, 'valid files were among them');
cmp_ok(($tried // 0) - ($accepted // 0), '>', 100, 'and damaged ones');

done_testing();
