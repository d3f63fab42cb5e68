# Image archives with the exact tree or error that each must give, with the daemon and with the
# embedded engine, in their sandboxes: our own, which are described in
# java/src/test/resources/conformance, and those of a folder that PVE_OCI_SHARED names.
#
# With the daemon each case is a run of the command, and has a worker of its own. The embedded
# engine is called as an update calls it, in a session: an engine extracts one case after the other
# until one fails, which ends it. So a case also shows that those before it have left nothing behind
# in the engine. One of ten of our own cases has an embedded engine of its own, by the command.
#
# Each case is done by one of the two, in turn. Of our own that must fail, only every third is done:
# pve.oci.conformance.ConformanceTest does them all without a sandbox, which matters little to them.
# With PVE_OCI_TEST_CASES=all, all cases are done by both.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use JSON;
use POSIX ();
use Test::More;

use PVE::OCI;
use PVE::OCI::Session;
use RealDaemon;
use TestSupport qw(class_path home root);

plan skip_all => 'needs root' if $> != 0;
plan skip_all => 'not built: run make' if !-e home() . '/pve-oci.jar';

my $work = tempdir(CLEANUP => 1);
chmod(0755, $work) or die "$work: $!\n";
my $program = root() . '/bin/pve-oci';
my $daemon = RealDaemon->start('--spares', 0);
my $session = PVE::OCI::Session->new();
my $server; # the process that calls the module for the shared cases
my $is_all = ($ENV{PVE_OCI_TEST_CASES} // '') eq 'all';
my %OPTION = (
    arch => 'architecture', variant => 'variant', reference => 'reference_name',
    manifest => 'manifest_digest', 'max-bytes' => 'max_bytes', 'max-entries' => 'max_entries',
);

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

# Each way to extract gets words of a command line, and returns an exit code and what was printed.
sub by_command (@words) {
    my $pid = open(my $output, '-|') // die "fork: $!\n";
    if ($pid == 0) {
        open(STDERR, '>&', \*STDOUT) or die "stderr: $!\n";
        exec($program, 'extract', '--output-format', 'json', @words) or die "$program: $!\n";
    }
    local $/ = undef;
    my $text = <$output> // '';
    close($output);
    return ($? >> 8, $text);
}

sub by_daemon (@words) { return by_command('--socket', $daemon->{socket}, @words) }

sub by_engine (@words) { return by_command('--embedded', @words) }

sub in_session (@words) { return by_module({ mode => 'embedded', session => $session }, @words) }

sub by_module ($mode, @words) {
    my %options = $mode->%*;
    my @arguments;
    while (defined(my $word = shift(@words))) {
        my ($name) = $word =~ /\A--(.*)\z/;
        if (defined($name)) {
            $options{ $OPTION{$name} // die "no option $word\n" } = shift(@words);
        } else {
            push @arguments, $word;
        }
    }
    my $reply = eval { PVE::OCI::extract_image(@arguments, \%options) };
    return (1, "$@") if !defined($reply);
    return (0, JSON->new->utf8->encode($reply));
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

sub check_case ($name, $case, $archive, $extract) {
    my $rootfs = new_rootfs();
    my ($exit, $output) = $extract->($case->{arguments}->@*, $archive, $rootfs);
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
    my ($count, $failing) = (0, 0);
    for my $file (glob("$work/cases/*.json")) {
        my ($name) = $file =~ m{([^/]+)\.json$};
        my @case = (decode_json(slurp($file)), "$work/cases/$name.tar");
        next if defined($case[0]->{error}) && $failing++ % 3 && !$is_all;
        my $number = $count++;
        check_case("$name, daemon", @case, \&by_daemon) if $is_all || $number % 2;
        check_case("$name, embedded", @case, $number % 20 ? \&in_session : \&by_engine)
            if $is_all || $number % 2 == 0;
    }
};

# The shared cases come with a program that runs a command for each. The command hands its words to
# a process that calls the module, and prints what that answers.
sub serve_commands ($folder) {
    mkdir($folder) or die "$folder: $!\n";
    for my $name (qw(words answer)) {
        POSIX::mkfifo("$folder/$name", 0600) or die "$folder/$name: $!\n";
    }
    open(my $script, '>', "$folder/extract") or die "$folder/extract: $!\n";
    print {$script} "cd $folder; printf '%s' \"\$*\" >words; cat answer; exit \$(cat status)\n";
    close($script) or die "$folder/extract: $!\n";
    my $pid = fork() // die "fork: $!\n";
    return $pid if $pid;
    my %mode = (
        daemon => { socket => $daemon->{socket} },
        embedded => { mode => 'embedded', session => PVE::OCI::Session->new() },
    );
    while (1) {
        my ($mode, @words) = split(/\s+/, slurp("$folder/words"));
        my ($status, $answer) = by_module($mode{$mode}, @words);
        for ([status => $status], [answer => $answer]) {
            my ($name, $text) = $_->@*;
            open(my $handle, '>', "$folder/$name") or die "$folder/$name: $!\n";
            print {$handle} $text;
            close($handle) or die "$folder/$name: $!\n";
        }
    }
}

sub end_server () {
    my $pid = $server // return;
    undef $server;
    local $?;
    kill TERM => $pid;
    waitpid($pid, 0);
    return;
}

END { end_server() }

subtest 'shared cases' => sub {
    my $shared = $ENV{PVE_OCI_SHARED} // root() . '/../shared';
    plan skip_all => "no conformance images in $shared: set PVE_OCI_SHARED"
        if !-e "$shared/conformance/run.py";
    $shared = abs_path($shared);
    my @names = map { s{.*/}{}r } sort(glob("$shared/conformance/cases/*"));
    my %cases = (
        daemon => [@names[grep { $_ % 2 || $is_all } 0 .. $#names]],
        embedded => [@names[grep { $_ % 2 == 0 || $is_all } 0 .. $#names]],
    );
    $server = serve_commands("$work/commands");
    for my $mode (sort keys %cases) {
        # the runner asks for a config on standard output, and puts its limits at the end
        my $command = "sh $work/commands/extract $mode --arch {arch} {archive} {rootfs}";
        my $pattern = join('|', map { quotemeta } $cases{$mode}->@*);
        my @run = (
            'python3', "$shared/conformance/run.py", '--cases', "$shared/conformance/cases",
            '--shift', 100000, '-k', "^(?:$pattern)\$"
        );
        my @options = (
            '--work', "$work/shared", '--cmd', $command, '--limits',
            ' --max-bytes {bytes} --max-entries {entries}'
        );
        open(my $output, '-|', @run, @options) or die "python3: $!\n";
        my @lines = <$output>;
        close($output);
        is($?, 0, "$mode: all pass") or diag(@lines);
        is(
            $lines[-1] // '', $cases{$mode}->@* . " passed, 0 failed\n",
            "$mode: and all were run"
        );
    }
    end_server();
};

$session->end();
$daemon->stop();
done_testing();
