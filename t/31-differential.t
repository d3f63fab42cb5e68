# Images made at random, extracted by us and by others: the trees must be the same. umoci applies
# layers, bsdtar one layer without whiteouts. PVE_OCI_TEST_SEEDS chooses other seeds or more of them
# ("100-200").

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use Digest::SHA;
use File::Find ();
use File::Temp qw(tempdir);
use Test::More;

use RandomImage qw(write_layout);
use RealDaemon;
use TestSupport qw(class_path home root);

plan skip_all => 'needs root' if $> != 0;
plan skip_all => 'not built: run make' if !-e home() . '/pve-oci.jar';

# bsdtar(1) cannot write names that are UTF-8 in another locale
$ENV{LC_ALL} = 'C.UTF-8'; ## no critic (RequireLocalizedPunctuationVars): for all of the test
my $SHIFT = 100000;
my ($first, $last) = split(/-/, $ENV{PVE_OCI_TEST_SEEDS} // '1-12');
$last //= $first;
my $work = tempdir(CLEANUP => 1);
chmod(0755, $work) or die "$work: $!\n";
my $daemon = RealDaemon->start('--spares', 0);
my %MODES = (daemon => ['--socket', $daemon->{socket}], embedded => ['--embedded']);

sub has ($program) {
    return grep { -x "$_/$program" } split(/:/, $ENV{PATH});
}

sub run (@command) {
    system(@command) == 0 or die "failed: @command\n";
    return;
}

sub fresh ($name) {
    run('rm', '-rf', "$work/$name");
    mkdir("$work/$name") or die "$work/$name: $!\n";
    return "$work/$name";
}

# Extended attributes as getfattr prints them, by path.
sub attributes ($directory) {
    my %attributes;
    open(
        my $output, '-|', 'sh', '-c', 'cd "$1" && getfattr -Rhd -m - -e hex . 2>/dev/null',
        'sh',
        $directory
    ) or die "getfattr: $!\n";
    my $path;
    while (my $line = <$output>) {
        chomp($line);
        if ($line =~ /^# file: (.*)/) {
            $path = $1 =~ s/\\([0-7]{3})/chr(oct($1))/egr;
        } elsif ($line =~ /=/ && $line !~ /^security\.selinux=/) {
            push($attributes{$path}->@*, $line);
        }
    }
    close($output);
    return \%attributes;
}

# A line for each path: all that a container can see, but for times of directories, which writing in
# them changes.
sub describe ($directory, $shift) {
    my %lines;
    my $attributes = attributes($directory);
    my $wanted = sub {
        my $name = $File::Find::name;
        return if $name eq $directory;
        my $path = substr($name, length($directory) + 1);
        my (undef, undef, $mode, $links, $uid, $gid, undef, $size, undef, $mtime) =
            lstat($name);
        my ($is_link, $is_file, $is_directory) = (-l _, -f _, -d _);
        my @words = (sprintf('%06o', $mode), $uid - $shift, $gid - $shift);
        push(@words, $links, $mtime) if !$is_directory;
        push(@words, '-> ' . readlink($name)) if $is_link;
        push(@words, $size, Digest::SHA->new(256)->addfile($name)->hexdigest()) if $is_file;
        $lines{$path} = join(' ', @words, sort(($attributes->{$path} // [])->@*));
    };
    File::Find::find({ no_chdir => 1, wanted => $wanted }, $directory);
    return \%lines;
}

sub ours ($layout, $mode) {
    my $rootfs = fresh('ours');
    chown($SHIFT, $SHIFT, $rootfs) or die "$rootfs: $!\n";
    run('tar', '-C', $layout, '-cf', "$work/image.tar", 'oci-layout', 'index.json', 'blobs');
    run(
        root() . '/bin/pve-oci', 'extract', '-q', '--arch', 'amd64', $MODES{$mode}->@*,
        "$work/image.tar", $rootfs
    );
    return describe($rootfs, $SHIFT);
}

subtest 'umoci' => sub {
    plan skip_all => 'umoci is not installed' if !has('umoci');
    for my $seed ($first .. $last) {
        my $layout = fresh('layout');
        write_layout($layout, $seed);
        run('rm', '-rf', "$work/theirs");
        run('umoci', '--log=error', 'raw', 'unpack', '--image', "$layout:t", "$work/theirs");
        my $theirs = describe("$work/theirs", 0);
        is_deeply(ours($layout, $_), $theirs, "seed $seed, $_") for sort keys %MODES;
    }
};

subtest 'bsdtar' => sub {
    plan skip_all => 'bsdtar is not installed' if !has('bsdtar');
    for my $seed ($first .. $last) {
        my $layout = fresh('layout');
        my ($layer) = write_layout($layout, $seed, 1);
        my $theirs = fresh('theirs');
        run('bsdtar', '-C', $theirs, '--numeric-owner', '-xpf', $layer);
        my $expected = describe($theirs, 0);
        is_deeply(ours($layout, $_), $expected, "seed $seed, $_") for sort keys %MODES;
    }
};

# By Java alone, thousands a minute, and for every way that threads share the work.
# PVE_OCI_TEST_IMAGES is how many for each number of processors; seeds begin at
# PVE_OCI_TEST_FIRST.
subtest 'model' => sub {
    my $classes = home() . '/test-classes/pve/oci/conformance';
    plan skip_all => 'tests are not compiled: run mvn test-compile'
        if !-e "$classes/RandomImages.class";
    my $first_seed = $ENV{PVE_OCI_TEST_FIRST} // 1;
    my $last_seed = $first_seed + ($ENV{PVE_OCI_TEST_IMAGES} // 500) - 1;
    for my $processors (1, 2, 3, 4) {
        my @command = (
            'java', '-Xmx256m', '-XX:TieredStopAtLevel=1',
            "-XX:ActiveProcessorCount=$processors",
            '-cp', class_path(), 'pve.oci.conformance.RandomImages', $first_seed, $last_seed,
        );
        open(my $output, '-|', @command) or die "java: $!\n";
        my @lines = <$output>;
        close($output);
        like($lines[-1] // '', qr/^\d+ images, 0 different$/, "$processors processors")
            or diag(@lines[0 .. ($#lines > 5 ? 5 : $#lines)]);
    }
};

$daemon->stop();
done_testing();
