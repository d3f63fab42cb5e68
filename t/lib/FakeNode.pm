# A Proxmox VE node's Perl modules in a mount namespace of the test's own: /usr/share/perl5,
# /etc/perl, /var/lib and the shipped patches can be written to, and nobody else sees it.
package FakeNode;

use v5.36;

use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Temp qw(tempdir);

use Exporter qw(import);
our @EXPORT_OK = qw(install_file install_ours missing program read_text);

use TestSupport qw(root);

our $PERL5 = '/usr/share/perl5';

# Why this cannot be done here, or undef. Starts the test over in a namespace of its own.
sub missing() {
    return 'needs root' if $> != 0;
    return 'needs patch' if !-x '/usr/bin/patch';
    if (!$ENV{PVE_OCI_TEST_INNER}) {
        local $ENV{PVE_OCI_TEST_INNER} = 1;
        exec('unshare', '-m', '--propagation', 'private', $^X, $0) or die "unshare: $!\n";
    }
    my $directory = tempdir();
    system('mount', '-t', 'tmpfs', 'test', $directory) == 0 or return 'needs tmpfs';
    my $number = 0;
    for my $path ($PERL5, '/etc/perl', '/var/lib', root() . '/perl/patches') {
        my ($upper, $work) = map { "$directory/$_" . $number } qw(upper work);
        mkdir($_) or die "$_: $!" for $upper, $work;
        $number++;
        my $options = "lowerdir=$path,upperdir=$upper,workdir=$work";
        system("mount -t overlay test -o $options $path 2>/dev/null") == 0
            or return 'needs overlay mounts';
    }
    my $ranges = "$directory/ranges";
    install_file($ranges, "root:100000:65536\n");
    for my $path (qw(/etc/subuid /etc/subgid)) {
        install_file($path, '') if !-e $path;
        system('mount', '--bind', $ranges, $path) == 0 or die "mount failed\n";
    }
    return;
}

# As dpkg does it: another file takes the name.
sub install_file ($path, $content) {
    make_path(dirname($path));
    open(my $handle, '>', "$path.dpkg-new") or die "$path: $!";
    print {$handle} $content;
    close($handle) or die $!;
    rename("$path.dpkg-new", $path) or die "$path: $!";
    return;
}

# The modules of this tree, as links: they find the rest of the tree.
sub install_ours () {
    make_path("$PERL5/PVE/LXC");
    for my $name (qw(PVE/OCI PVE/OCI.pm PVE/LXC/OCI PVE/LXC/OCI.pm)) {
        symlink(root() . "/perl/lib/$name", "$PERL5/$name")
            or die "$name: $!"
            if !-e "$PERL5/$name";
    }
    return;
}

sub read_text ($path) {
    open(my $handle, '<', $path) or return "$path: $!";
    local $/ = undef;
    return readline($handle) // '';
}

# Runs a program; returns its exit code and all it wrote.
sub program (@command) {
    my $pid = open(my $output, '-|') // die $!;
    if (!$pid) {
        open(STDERR, '>&', \*STDOUT) or die $!;
        exec(@command) or die "$command[0]: $!\n";
    }
    my $text = do { local $/ = undef; readline($output) };
    close($output);
    return ($? >> 8, $text // '');
}

1;
