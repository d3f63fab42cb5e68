# What the tests of updates share: an application in three versions, fingerprints of trees, the
# command.
package TestUpdate;

use v5.36;

use Exporter qw(import);
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;

use TestImage qw(entry write_image);
use TestSupport qw(root);

our @EXPORT_OK = qw(
    application fingerprint fresh_rootfs is_same_tree pve_oci shell slurp write_file
);

sub slurp ($path) {
    open(my $handle, '<:raw', $path) or return "no file: $!";
    local $/ = undef;
    return readline($handle) // '';
}

sub write_file ($path, $content) {
    open(my $handle, '>:raw', $path) or die "$path: $!\n";
    print {$handle} $content or die "$path: $!\n";
    close($handle) or die "$path: $!\n";
    return $path;
}

# Runs a script of the shell in a directory; returns what it prints.
sub shell ($directory, $script) {
    my $pid = open(my $output, '-|') // die "fork: $!\n";
    if (!$pid) {
        chdir($directory) or POSIX::_exit(99);
        exec('sh', '-ec', $script) or POSIX::_exit(98);
    }
    local $/ = undef;
    my $text = readline($output) // '';
    close($output) or die "shell: $script: status $?\n";
    return $text;
}

# Runs the command; returns its exit code, its output and its errors. A call that hangs is an error.
sub pve_oci (@arguments) {
    my $folder = tempdir(CLEANUP => 1);
    my $status = system(
        'sh', '-c', 'f=$1; shift; exec timeout -s KILL 120 "$@" >$f/out 2>$f/err', 'sh',
        $folder,
        root() . '/bin/pve-oci', @arguments,
    );
    return ($status >> 8, slurp("$folder/out"), slurp("$folder/err"));
}

# An archive of one version: a program, a configuration, data, a file of its own, many small ones.
# More entries and other settings may follow.
sub application ($path, $version, $config = {}, $more = '') {
    my $many = join(
        '',
        map {
            entry('5', "lib$_/")
                . join('', map { entry('0', $_, content => "$_ $version") } "lib$_/a", "lib$_/b")
        } 1 .. 10
    );
    my $only = $version == 1 ? entry('5', 'old/') . entry('0', 'old/x') : '';
    return write_image(
        $path,
        {
            Cmd => ['/bin/app', "--version=$version"], Env => ["VERSION=$version", 'COMMON=1'],
            Volumes => { '/data' => {} }, $config->%*,
        },
        entry('5', 'bin/')
            . entry('0', 'bin/app', mode => 0755, content => "application $version\n")
            . entry('0', 'bin/set-id', mode => 04755, uid => 5, gid => 6)
            . entry('5', 'etc/', mode => 0750)
            . entry('0', 'etc/app.conf', content => "of image $version\n")
            . entry('2', 'etc/link', link => "app.conf.$version")
            . entry('5', 'data/', uid => 70, gid => 70)
            . entry('0', 'data/initial', content => "initial $version\n", uid => 70)
            . $only
            . entry('0', "only$version")
            . $many,
        $more eq '' ? () : $more,
    );
}

# A root file system of an archive, with a record.
sub fresh_rootfs ($archive, @options) {
    my $rootdir = tempdir(CLEANUP => 1);
    my ($code, undef, $errors) = pve_oci('extract', '-q', '--record', $archive, $rootdir, @options);
    die "extract: $errors" if $code;
    return $rootdir;
}

# Everything that a tree has, apart from the folders of updates; without data that was asked to be
# left out.
sub fingerprint ($rootdir, @without) {
    my $prune = join(
        ' ',
        map { "-path './$_' -prune -o" } qw(.pve.oci.update .pve.oci.previous .pve.oci.removed),
        @without
    );
    return shell(
        $rootdir,
        "find . $prune ! -type d -printf '%p %y %m %U %G %n %s %T@ %l\\n' | sort;"
            . " find . $prune -type d -printf '%p %y %m %U %G %T@\\n' | sort;"
            . " find . $prune -type f -print0 | sort -z | xargs -0 sha256sum",
    );
}

# Compares two fingerprints, and says in which lines they differ.
sub is_same_tree ($got, $wanted, $what) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return if ok($got eq $wanted, $what);
    my %got = map { $_ => 1 } split(/\n/, $got);
    my %wanted = map { $_ => 1 } split(/\n/, $wanted);
    diag("is:     $_") for grep { !$wanted{$_} } sort keys %got;
    diag("wanted: $_") for grep { !$got{$_} } sort keys %wanted;
    return;
}

1;
