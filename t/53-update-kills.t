#!/usr/bin/perl
# Updates and rollbacks during which the worker, the daemon, the embedded engine or the command is
# killed, at random moments. The next call must finish what was begun or take it back, and the tree
# must be exactly that of one of the two images, with the data as it was. PVE_OCI_TEST_KILLS: how
# many (30).

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use PVE::OCI::JVM;
use RealDaemon;
use TestSupport qw(process_status root);
use TestUpdate qw(application fingerprint fresh_rootfs is_same_tree pve_oci shell slurp write_file);

plan(skip_all => 'needs root') if $> != 0;
plan(skip_all => "no embedded engine: $@") if !eval { PVE::OCI::JVM::settings(); 1 };

my $KILLS = $ENV{PVE_OCI_TEST_KILLS} // 30;
my $SEED = $ENV{PVE_OCI_TEST_SEED} // int(rand(1e9));
srand($SEED);
note("PVE_OCI_TEST_SEED=$SEED");

my $FOLDER = tempdir(CLEANUP => 1);
chmod(0755, $FOLDER) or die "chmod: $!\n";
my @IMAGE = (undef, map { application("$FOLDER/v$_.tar", $_) } 1, 2);
my $DAEMON = RealDaemon->start();
my $ROOTDIR = fresh_rootfs($IMAGE[1], '--embedded');
my $COPIES = tempdir(CLEANUP => 1);
shell(
    $ROOTDIR,
    'for i in 1 2 3; do echo mine $i >data/$i; ln data/$i data/again$i; done; chown -R 100070 data'
);

# Of one state: the tree without data, the folders of updates and the history's times.
sub state_of () {
    return fingerprint($ROOTDIR, '.pve.oci.json', '.pve.oci.mtree.zst') =~ s/^\. d .*\n//mr;
}

my $LIST = 'find . -printf "%p %y %m %U %G %n %s %T@\n" | sort; cat 1 2 3';
my $DATA = shell("$ROOTDIR/data", $LIST);
my @STATE = (undef, state_of());

sub command ($verb, @mode) {
    return ($verb, $ROOTDIR, $verb eq 'update' ? $IMAGE[2] : (), @mode);
}

sub run ($verb, @mode) {
    my ($code, $out, $errors) = pve_oci(command($verb, @mode));
    return ($code, "$out$errors");
}

my @BY = (['--socket', $DAEMON->{socket}], ['--embedded']);
system('cp', '-a', $ROOTDIR, "$COPIES/1") == 0 or die "cp failed\n";
my $start = time();
is((run('update', $BY[0]->@*))[0], 0, 'updated once');
my $duration = time() - $start;
$STATE[2] = state_of();
system('cp', '-a', $ROOTDIR, "$COPIES/2") == 0 or die "cp failed\n";
isnt($STATE[1], $STATE[2], 'the images differ');
is((run('rollback', $BY[0]->@*))[0], 0, 'rolled back once');
is_same_tree(state_of(), $STATE[1], 'exactly');

# Processes below another one, itself included.
sub family ($pid) {
    my %parent;
    for my $directory (glob('/proc/[0-9]*')) {
        my $status = process_status($directory =~ s!.*/!!r) or next;
        $parent{ $status->{Pid} } = $status->{PPid};
    }
    my %found = ($pid => 1);
    for (1 .. 4) {
        $found{$_} = 1 for grep { $found{ $parent{$_} } } keys %parent;
    }
    return keys %found;
}

# Starts the command, and kills somebody after a while; returns what it was.
sub break_off ($verb) {
    my $is_embedded = rand() < 0.4;
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        open($_, '>', '/dev/null') or POSIX::_exit(99) for \*STDOUT, \*STDERR;
        exec(root() . '/bin/pve-oci', command($verb, $BY[$is_embedded]->@*)) or POSIX::_exit(98);
    }
    sleep(rand($duration * 1.1));
    my $victim =
        $is_embedded ? (qw(command engine))[rand(2)] : (qw(command worker worker daemon))[rand(4)];
    if ($victim eq 'command') {
        kill(KILL => $pid);
    } elsif ($victim eq 'engine') {
        kill(KILL => grep { $_ != $pid } family($pid));
    } elsif ($victim eq 'worker') {
        kill(KILL => $DAEMON->descendants());
    } else {
        $DAEMON->stop('KILL');
    }
    waitpid($pid, 0);
    $DAEMON->run() if $victim eq 'daemon';
    return $victim . ($is_embedded ? ', embedded' : '');
}

# Another worker may still be taking something back: the root directory is in use then.
sub next_call ($verb) {
    my ($code, $text);
    for (1 .. 100) {
        ($code, $text) = run($verb, $BY[rand(2)]->@*);
        return ($code, $text) if $text !~ /in use|works on it|worker was killed/i;
        sleep(0.1);
    }
    return ($code, $text);
}

my %outcomes;
for my $number (1 .. $KILLS) {
    my ($verb, $from) = rand() < 0.6 ? ('update', 1) : ('rollback', 2);
    system("rm -rf '$ROOTDIR' && cp -a '$COPIES/$from' '$ROOTDIR'") == 0 or die "cp failed\n";
    my $victim = break_off($verb);
    # at times the same is wanted again, at times the opposite
    my $next = rand() < 0.7 ? $verb : $verb eq 'update' ? 'rollback' : 'update';
    my $what = "$number: $verb, killed: $victim, then $next";
    # of others something may still run, and come to its end meanwhile
    my $is_begun = $victim =~ /\A(?:engine|worker)/
        && grep { -e "$ROOTDIR/$_" } qw(.pve.oci.update .pve.oci.previous);
    my ($code, $text) = next_call($next);
    my $outcome = 'it was done';
    if ($code && !$is_begun && $next eq 'rollback' && $text =~ /there is no earlier tree/) {
        $outcome = 'there was nothing to do';
    } else {
        is($code, 0, $what) or diag($text);
        $outcome = $1 if $text =~ /^(?:an |the )(.*? was interrupted[^:]*):/m;
    }
    $outcomes{"$verb, $next: $outcome"}++;
    my $wanted = $next eq 'update' ? 2 : 1;
    is_same_tree(state_of(), $STATE[$wanted], "$what: a whole tree, version $wanted");
    is(shell("$ROOTDIR/data", $LIST), $DATA, "$what: the data");
    ok(!-e "$ROOTDIR/.pve.oci.update", "$what: nothing is left");
    is((pve_oci('diff', $ROOTDIR, $BY[1]->@*))[1], '', "$what: no difference")
        if $number % 5 == 0;
    last if !Test::More->builder->is_passing();
}
note("$outcomes{$_} times $_") for sort keys %outcomes;

done_testing();
