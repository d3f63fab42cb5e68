package UpdateEdges;

# Root file systems that the embedded engine updates, and what an update of them must come to: for
# the tests t/52-*.

use v5.36;

use Exporter qw(import);
use File::Temp qw(tempdir);
use Test::More;

use TestUpdate qw(application fingerprint fresh_rootfs is_same_tree pve_oci shell slurp);

our @EXPORT_OK =
    qw(@HERE @IMAGE changes copy_of is_refused is_rolled_back is_updated prepare rootfs update);

# a mode of its own: no daemon is asked
our @HERE = ('--embedded');

# archives of the versions 1 to 3
our @IMAGE;

# Skips all tests where there is no engine, starts the test again in mounts of its own, and writes
# the images. Returns their folder.
sub prepare() {
    plan(skip_all => 'needs root') if $> != 0;
    if (!$ENV{PVE_OCI_TEST_INNER}) {
        local $ENV{PVE_OCI_TEST_INNER} = 1;
        exec('unshare', '-m', '--propagation', 'private', $^X, $0) or die "unshare: $!\n";
    }
    my ($code, undef, $errors) = pve_oci('detect', '/dev/null', @HERE);
    plan(skip_all => "no embedded engine: $errors") if $code == 69;
    my $folder = tempdir(CLEANUP => 1);
    chmod(0755, $folder) or die "chmod: $!\n";
    @IMAGE = (undef, map { application("$folder/v$_.tar", $_) } 1 .. 3);
    return $folder;
}

# A root file system like another one, in a folder of its own.
sub copy_of ($original) {
    my $rootdir = tempdir(CLEANUP => 1) . '/ct';
    system('cp', '-a', $original, $rootdir) == 0 or die "cp failed\n";
    return $rootdir;
}

# Of version 1 with a file of the user's, and what the script does in it. It is extracted once, and
# copied then.
sub rootfs ($script = '') {
    state $pristine = fresh_rootfs($IMAGE[1], @HERE);
    my $rootdir = copy_of($pristine);
    shell($rootdir, "echo mine >data/mine; chown 100070:100070 data/mine; $script");
    return $rootdir;
}

sub update ($rootdir, @options) { return pve_oci('update', $rootdir, $IMAGE[2], @HERE, @options) }

sub changes ($rootdir, @options) {
    my (undef, $out) = pve_oci('diff', $rootdir, @HERE, @options);
    return $out;
}

sub is_updated ($rootdir, @options) {
    my ($code, $out, $errors) = update($rootdir, @options);
    is($code, 0, 'updated') or diag("$out$errors");
    is(slurp("$rootdir/bin/app"), "application 2\n", 'the new program is there');
    return $code == 0 ? $out : '';
}

sub is_refused ($rootdir, $message, @options) {
    my $before = fingerprint($rootdir);
    my ($code, $out, $errors) = update($rootdir, @options);
    isnt($code, 0, 'refused');
    like($errors, $message, 'message');
    is_same_tree(fingerprint($rootdir), $before, 'nothing has changed');
    return $errors;
}

sub is_rolled_back ($rootdir, $before, @options) {
    my ($code, $out, $errors) = pve_oci('rollback', $rootdir, @HERE, @options);
    is($code, 0, 'rolled back') or diag("$out$errors");
    is_same_tree(fingerprint($rootdir), $before, 'everything is as it was');
    return;
}

1;
