#!/usr/bin/perl
# The kernel's limit on a worker's memory, where an image needs most: two layers are read at a time,
# on a machine of many processors, and both are zstd with the largest window that is allowed.
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use Test::More;
use Time::HiRes qw(sleep);

use PVE::OCI;
use PVE::OCI::JVM;
use RealDaemon qw(in_child result_of);
use TestImage qw(entry write_image);
use TestSupport qw(home process_status);

plan(skip_all => 'needs root') if $> != 0;
plan(skip_all => 'needs make') if !-x home() . '/native/pve-oci-worker';
plan(skip_all => 'needs zstd(1)') if system('zstd --version >/dev/null 2>&1') != 0;

my $DIRECTORY = tempdir(CLEANUP => 1);
chmod(0755, $DIRECTORY) or die "chmod: $!\n";
my $MIB = 1 << 20;
my $LARGEST = 31;
my @FOUR_PROCESSORS = ('--worker-option', '-XX:ActiveProcessorCount=4');

# From a pipe: then zstd does not know how long it is, and asks for all of the window.
sub zstd ($tar) {
    open(my $file, '>:raw', "$DIRECTORY/tar") or die "open: $!\n";
    print {$file} $tar;
    close($file) or die "close: $!\n";
    return scalar(qx(cat $DIRECTORY/tar | zstd -q -3 --ultra --long=$LARGEST -c));
}

open(my $random, '<:raw', '/dev/urandom') or die "urandom: $!\n";
read($random, my $noise, $MIB) or die "urandom: $!\n";
my @layers = map { {
    entries => entry('0', "file$_", content => $noise x 6), type => 'zstd',
    compress => \&zstd
} } 1 .. 4;
my $ARCHIVE = write_image("$DIRECTORY/image.tar", { Cmd => ['x'] }, @layers);

my $serial = 0;

# RLIMIT_DATA of a process in bytes; undef if it has ended or has none.
sub limit_of ($pid) {
    open(my $file, '<', "/proc/$pid/limits") or return;
    local $/ = undef;
    my ($limit) = (readline($file) // '') =~ /^Max data size\s+(\d+)/m;
    return $limit;
}

# Result, the most that a worker had of what RLIMIT_DATA counts, and its limit; both in bytes.
sub extract ($daemon) {
    my $root = "$DIRECTORY/root" . $serial++;
    mkdir($root) or die "mkdir: $!\n";
    my $child = in_child(sub {
        # slowly, because the memory is looked at only now and then
        my %options = (socket => $daemon->{socket}, bwlimit => 1024);
        PVE::OCI::extract_image($ARCHIVE, $root, \%options);
        return -s "$root/file4";
    });
    my ($peak, $limit) = (0, 0);
    while (!waitpid($child->{pid}, POSIX::WNOHANG())) {
        for my $pid ($daemon->descendants()) {
            my $its = limit_of($pid) // next;
            my $data = (process_status($pid) // {})->{VmData} // next;
            $data = ($data =~ s/\D//gr) * 1024;
            ($peak, $limit) = ($data, $its) if $data > $peak;
        }
    }
    return (result_of($child), $peak, $limit);
}

subtest 'the largest window' => sub {
    my $daemon =
        RealDaemon->start('--zstd-window-log', $LARGEST, '--spares', 0, @FOUR_PROCESSORS);
    my ($result, $peak, $limit) = extract($daemon);
    is($result->{value}, 6 * $MIB, 'it is extracted') or diag($result->{error});
    cmp_ok($peak, '>', 2 * 2**$LARGEST, 'with two windows at a time');
    # beside the windows: heap and direct memory as far as they are used, and the machine itself
    my $rest = $peak - 2 * 2**$LARGEST;
    cmp_ok($rest, '<', 160 * $MIB, 'and little more') or diag($rest / $MIB . ' MiB');
    cmp_ok(
        $limit, '>=', 2 * 2**$LARGEST + (256 + 384 + 160) * $MIB,
        'the limit has room for it'
    );
    cmp_ok($limit, '<=', 2 * 2**$LARGEST + (256 + 384 + 256) * $MIB, 'and for little more');
    note(sprintf('%d MiB beside the windows', $rest / $MIB));
};

# The same image, where the limit is of a smaller window: a decompressor gets no memory.
subtest 'the limit binds' => sub {
    my $launcher = "$DIRECTORY/launcher";
    open(my $file, '>', $launcher) or die "open: $!\n";
    my $smaller = (256 + 384 + 256) * $MIB;
    print {$file} "#!/bin/bash\n", 'for ((i = 1; i < $#; i++)); do',
        ' [ "${!i}" = --data ] && set -- "${@:1:i}" ', $smaller, ' "${@:i+2}" && break; done', "\n",
        'exec ', home(), "/native/pve-oci-worker \"\$@\"\n";
    close($file) or die "close: $!\n";
    chmod(0755, $launcher) or die "chmod: $!\n";
    my $daemon = RealDaemon->start(
        '--zstd-window-log', $LARGEST, '--spares', 0, '--launcher', $launcher,
        @FOUR_PROCESSORS
    );
    my ($result, $peak, $limit) = extract($daemon);
    is($limit, $smaller, 'the limit is smaller');
    like($result->{error}, qr/memory|worker/i, 'it is not extracted');
    cmp_ok($peak, '<=', $smaller, 'no worker had more');
    note($result->{error});
};

# Both engines count in the same way.
subtest 'the embedded engine' => sub {
    is(PVE::OCI::JVM::data_limit(27), (64 + 160 + 256 + 2 * 128) * $MIB, 'windows of 128 MiB');
    is(
        PVE::OCI::JVM::data_limit($LARGEST),
        (64 + 160 + 256) * $MIB + 2 * 2**$LARGEST,
        'the largest'
    );
};

done_testing();
