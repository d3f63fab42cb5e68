# Image archives with the exact tree or error that each must give, through the command with the
# daemon and with the embedded engine, in their sandboxes: our own, which are described in
# java/src/test/resources/conformance, and those of a folder that PVE_OCI_SHARED names.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use JSON;
use Test::More;

use RealDaemon;
use TestSupport qw(class_path home root);

plan skip_all => 'needs root' if $> != 0;
plan skip_all => 'not built: run make' if !-e home() . '/pve-oci.jar';

my $work = tempdir(CLEANUP => 1);
chmod(0755, $work) or die "$work: $!\n";
my $program = root() . '/bin/pve-oci';
my $daemon = RealDaemon->start();
my %MODES = (daemon => ['--socket', $daemon->{socket}], embedded => ['--embedded']);

sub slurp ($path) {
    open(my $handle, '<:raw', $path) or die "$path: $!\n";
    local $/ = undef;
    return scalar(<$handle>);
}

# A fresh root directory, as root of the map owns it.
sub new_rootfs () {
    system('rm', '-rf', "$work/rootfs") == 0 or die "rm failed\n";
    mkdir("$work/rootfs") or die "$work/rootfs: $!\n";
    chown(100000, 100000, "$work/rootfs") or die "$work/rootfs: $!\n";
    return "$work/rootfs";
}

sub extract (@arguments) {
    my $pid = open(my $output, '-|') // die "fork: $!\n";
    if ($pid == 0) {
        open(STDERR, '>&', \*STDOUT) or die "stderr: $!\n";
        exec($program, 'extract', '--output-format', 'json', @arguments)
            or die "$program: $!\n";
    }
    local $/ = undef;
    my $text = <$output> // '';
    close($output);
    return ($? >> 8, $text);
}

# What a line of an expected tree says of a path: type, permissions, owner inside the map.
sub check_line ($path, $line, $rootfs) {
    my @status = lstat("$rootfs/$path") or return "missing $path";
    my ($mode, $links, $uid, $gid) = @status[2 .. 5];
    my %type = (file => 0100000, dir => 0040000, symlink => 0120000, fifo => 0010000);
    $line =~ s/ (?:=|->).*//s;
    for my $word (split(/ /, $line)) {
        my $holds =
              defined($type{$word}) ? ($mode & 0170000) == $type{$word}
            : $word =~ /^[0-7]{4}$/ ? ($mode & 07777) == oct($word)
            : $word =~ /^(\d+):(\d+)$/ ? $uid == 100000 + $1 && $gid == 100000 + $2
            : $word =~ /^links:(\d+)$/ ? $links == $1
            : 1;
        return "$path is not $word" if !$holds;
    }
    return;
}

sub check_case ($name, $case, $archive, @mode) {
    my $rootfs = new_rootfs();
    my ($exit, $output) = extract(@mode, @{ $case->{arguments} }, $archive, $rootfs);
    if (defined($case->{error})) {
        subtest $name => sub {
            isnt($exit, 0, 'fails');
            like($output, qr/$case->{error}/i, 'says why');
            is_deeply([glob("$rootfs/* $rootfs/.[!.]*")], [], 'leaves nothing');
        };
    } else {
        my $tree = $case->{tree};
        my @wrong =
            map { check_line($_, $tree->{$_}, $rootfs) } $case->{latin1} ? () : sort keys %$tree;
        is("$exit @wrong", '0 ', $name) or diag($output);
    }
    return;
}

subtest 'own cases' => sub {
    my $classes = home() . '/test-classes';
    plan skip_all => 'tests are not compiled: run mvn test-compile'
        if !-e "$classes/conformance";
    system(
        'java', '-cp', class_path(), 'pve.oci.conformance.ConformanceArchives',
        "$work/cases"
        ) == 0
        or die "the archives could not be written\n";
    for my $file (glob("$work/cases/*.json")) {
        my ($name) = $file =~ m{([^/]+)\.json$};
        my $case = decode_json(slurp($file));
        check_case("$name, $_", $case, "$work/cases/$name.tar", $MODES{$_}->@*)
            for sort keys %MODES;
    }
};

subtest 'shared cases' => sub {
    my $shared = $ENV{PVE_OCI_SHARED} // root() . '/../shared';
    plan skip_all => "no conformance images in $shared: set PVE_OCI_SHARED"
        if !-e "$shared/conformance/run.py";
    $shared = abs_path($shared);
    for my $mode (sort keys %MODES) {
        # the runner asks for a config on standard output, and puts its limits at the end
        my $command =
              "$program extract --output-format json $MODES{$mode}->@* --arch {arch}"
            . ' {archive} {rootfs}';
        my @run = (
            'python3', "$shared/conformance/run.py", '--cases', "$shared/conformance/cases",
            '--shift', 100000
        );
        my @options = (
            '--work', "$work/shared", '--cmd', $command, '--limits',
            ' --max-bytes {bytes} --max-entries {entries}'
        );
        open(my $output, '-|', @run, @options) or die "python3: $!\n";
        my @lines = <$output>;
        close($output);
        is($?, 0, "$mode: all pass") or diag(@lines);
        like($lines[-1] // '', qr/^[1-9]\d* passed, 0 failed$/, "$mode: and there were some");
    }
};

$daemon->stop();
done_testing();
