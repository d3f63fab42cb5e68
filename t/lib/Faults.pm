package Faults;

# A daemon, two images, and what must come back after a fault was injected: for the tests t/80-*.

use v5.36;

use Exporter qw(import);
use File::Temp qw(tempdir);
use Test::More;

use PVE::OCI;
use RealDaemon qw(in_child);
use TestImage qw(entry write_image);
use TestSupport qw(home process_status);

our @EXPORT_OK =
    qw($DAEMON $DIRECTORY $LARGE @MOUNTED $SMALL busy_worker entries_of extract is_error mount_root
    new_root noise nothing_left row serves_on slow_extraction try_extract umount_root
    unmount_lazily);

our $DIRECTORY = tempdir(CLEANUP => 1);
our $DAEMON;

# 8 MiB of $LARGE do not compress, so that a limit on the bandwidth makes it last.
our ($SMALL, $LARGE);

my @ROOT_MAP = map { [$_, '0', '100000', '65536'] } qw(u g);

sub noise ($size) {
    open(my $random, '<:raw', '/dev/urandom') or die "urandom: $!\n";
    read($random, my $bytes, $size) == $size or die "urandom: $!\n";
    return $bytes;
}

my $BANDWIDTH = 1024; # KiB/s

my $serial = 0;

# what mount_root has mounted; unmounted at the end
our @MOUNTED;

END {
    local $?;
    system('umount', '-l', $_) for @MOUNTED;
}

# Skips all tests where there is no daemon; otherwise writes the images and starts one.
sub prepare() {
    plan(skip_all => 'needs root') if $> != 0;
    plan(skip_all => 'needs make') if !-x home() . '/native/pve-oci-worker';
    chmod(0755, $DIRECTORY) or die "chmod: $!\n";
    my $config = { Cmd => ['/bin/sh'] };
    $SMALL =
        write_image("$DIRECTORY/small.tar", $config, map { entry('0', $_, content => $_) } qw(a b));
    my @noise = map { entry('0', "dir/file$_", content => noise(32 * 1024)) } 1 .. 128;
    $LARGE = write_image(
        "$DIRECTORY/large.tar", $config, join('', entry('5', 'dir/'), @noise[0 .. 63]),
        join('', @noise[64 .. 127])
    );
    $DAEMON = RealDaemon->start('--hang', 10, '--queue', 100);
    return;
}

# Stops the daemon, and looks at what it has said.
sub end() {
    is($DAEMON->stop(), 0, 'the daemon ends well after all of it');
    unlike($DAEMON->log_text(), qr/internal error|Exception/, 'its log has no fault of its own');
    return;
}

sub new_root() {
    my $path = "$DIRECTORY/root" . $serial++;
    mkdir($path) or die "mkdir $path: $!\n";
    return $path;
}

sub mount_root ($options, @device) {
    my $path = new_root();
    my @source = @device ? @device : ('-t', 'tmpfs', 'tmpfs');
    my $said = qx{mount -o $options @source $path 2>&1};
    die "mount: $said" if $?;
    push @MOUNTED, $path;
    return $path;
}

sub umount_root ($path) {
    my $ok = system('umount', $path) == 0;
    @MOUNTED = grep { $_ ne $path } @MOUNTED if $ok;
    return $ok;
}

sub unmount_lazily ($path) {
    system('umount', '-l', $path);
    @MOUNTED = grep { $_ ne $path } @MOUNTED;
    return;
}

sub entries_of ($path) {
    opendir(my $directory, $path) or return ["$!"];
    return [sort grep { !/\A(?:\.\.?|lost\+found)\z/ } readdir($directory)];
}

sub extract ($archive, $root, %options) {
    return PVE::OCI::extract_image(
        $archive, $root, { socket => $DAEMON->{socket}, id_map => \@ROOT_MAP, %options },
    );
}

sub try_extract ($archive, $root, %options) {
    my $value = eval { extract($archive, $root, %options) };
    return { value => $value } if $value;
    return { error => $@ =~ s/\n\z//r, name => (PVE::OCI::Error::caught($@) // {})->{name} };
}

# An extraction that lasts, in a process of its own, once it has written something.
sub slow_extraction ($root, $archive = $LARGE) {
    my $child = in_child(sub { extract($archive, $root, bwlimit => $BANDWIDTH); 1 });
    $DAEMON->wait_for_job(sub ($job) {
        ($job->{rootDirectory} // '') eq $root && $job->{progress}->{entriesWritten} > 5;
    }) or die "extraction does not begin\n";
    return $child;
}

# The Java process of the worker that has the job: the one that has an archive of this test open.
# Its descriptor is on a mount of its own, so it has no name that could be compared.
sub busy_worker () {
    my %archives = map { join(':', (stat($_))[0, 1]) => 1 } $SMALL, $LARGE;
    my @java = grep { (process_status($_) // {})->{NSpid} =~ /\t1\z/ } $DAEMON->descendants();
    for my $process (@java) {
        for my $file (glob("/proc/$process/fd/*")) {
            my ($device, $inode) = stat($file);
            return $process if defined($inode) && $archives{"$device:$inode"};
        }
    }
    die "no worker has an archive open\n";
}

sub row ($injected, $result) {
    my $error = $result->{error};
    diag(sprintf(
        '%-44s | %s', $injected,
        defined($error) ? ($result->{name} // 'no name') . ": $error" : 'done'
    ));
    return;
}

sub is_error ($injected, $result, $name, $pattern) {
    row($injected, $result);
    is($result->{name}, $name, "$injected: $name");
    like($result->{error}, $pattern, "$injected: message");
    unlike($result->{error} // '', qr/\n/, "$injected: one line");
    return;
}

sub serves_on ($injected) {
    my $result = try_extract($SMALL, new_root());
    is($result->{error}, undef, "$injected: the next job is done");
    return;
}

sub nothing_left ($injected, $root) {
    is_deeply(entries_of($root), [], "$injected: root directory as before");
    return;
}

1;
