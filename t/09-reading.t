#!/usr/bin/perl
# Whoever detects, inspects or verifies writes nothing, and so may nothing: the processes of the
# real daemon and of the embedded engine, as root and inside a user namespace, as the host sees
# them.
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use Test::More;

use PVE::OCI;

use EmbeddedTest qw($IMAGE plan_embedded);
use RealDaemon qw(in_child result_of);
use TestSupport qw(child_of namespace_of process_status wait_until);

plan_embedded();

# The process below this one that has its seccomp filter already, stopped; undef when there never
# is one.
my sub stopped_engine ($parent) {
    my $engine;
    wait_until(sub {
        my $supervisor = child_of($parent) // return 0;
        my $pid = child_of($supervisor) // return 0;
        my $status = process_status($pid) // return 0;
        return 0 if $status->{Seccomp} != 2;
        kill STOP => $pid;
        return $engine = $pid;
    });
    return $engine;
}

my sub has_no_rights ($name, $pid, $uid) {
    my $status = process_status($pid);
    is($status->{Uid}, join("\t", ($uid) x 4), "$name: user id");
    is($status->{"Cap$_"}, '0' x 16, "$name: capabilities $_") for qw(Prm Eff Bnd Inh Amb);
    isnt(namespace_of($pid, 'user'), namespace_of('self', 'user'), "$name: user namespace");
    return;
}

my %CALLS = (
    detect => sub (%options) { PVE::OCI::detect_archive($IMAGE, \%options)->{format} },
    inspect => sub (%options) { PVE::OCI::inspect_image($IMAGE, \%options)->{config} },
    verify => sub (%options) { PVE::OCI::verify_image($IMAGE, \%options)->{verified} },
);

for my $action (sort keys %CALLS) {
    subtest "$action, embedded" => sub {
        my $child = in_child(sub { $CALLS{$action}->(mode => 'embedded') });
        my $engine = stopped_engine($child->{pid}) // return fail('no engine');
        has_no_rights($action, $engine, 100000);
        kill CONT => $engine;
        ok(result_of($child)->{value}, 'it has its result');
    };
    subtest "$action, daemon" => sub {
        # a worker that is started for the job: none waits
        my $daemon = RealDaemon->start('--spares', 0);
        my $child =
            in_child(sub { $CALLS{$action}->(mode => 'daemon', socket => $daemon->{socket}) });
        my $worker = stopped_engine($daemon->{pid}) // return fail('no worker');
        has_no_rights($action, $worker, 100000);
        kill CONT => $worker;
        ok(result_of($child)->{value}, 'it has its result');
    };
}

subtest 'inside a user namespace' => sub {
    my $code = 'print PVE::OCI::detect_archive($ARGV[0], { mode => "embedded" })->{format}';
    pipe(my $reader, my $writer) or die "pipe: $!\n";
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        open(STDOUT, '>&', $writer) or die "dup: $!\n";
        exec(
            'unshare', '-Ur', '-m', $^X, (map { "-I$_" } @INC[0 .. 1]), '-MPVE::OCI', '-e',
            $code, $IMAGE
        ) or die "exec: $!\n";
    }
    close($writer);
    my $engine = stopped_engine($pid) // return fail('no engine');
    has_no_rights('detect', $engine, 0); # root is all that the namespace maps
    isnt(
        namespace_of($engine, 'user'), namespace_of($pid, 'user'),
        'not the namespace of the caller'
    );
    kill CONT => $engine;
    is(readline($reader), 'ociArchive', 'it has its result');
    waitpid($pid, 0);
};

# One whose name is no UTF-8 goes by descriptor, as standard input does.
subtest 'an archive is named, however it came' => sub {
    my $path = tempdir(CLEANUP => 1) . "/\xff.tar";
    open(my $handle, '+>', $path) or die "open: $!\n";
    print {$handle} 'x' x 2048;
    close($handle) or die "close: $!\n";
    my $daemon = RealDaemon->start();
    for my $how (['mode', 'embedded'], ['socket', $daemon->{socket}]) {
        ok(!eval { PVE::OCI::inspect_image($path, { $how->@* }) }, "$how->[0]: no archive");
        like($@, qr{\A/\S+/\\xff\.tar: not an image archive}, 'the line begins with its name');
    }
};

done_testing();
