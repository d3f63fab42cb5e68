#!/usr/bin/perl
# Faults of file systems and archives: what is injected, and what comes back. Each line of notes is
# a row of that table.
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use Test::More;

use Faults qw($DIRECTORY $LARGE $SMALL is_error mount_root new_root noise nothing_left row serves_on
    slow_extraction try_extract umount_root unmount_lazily);
use RealDaemon qw(result_of);
use TestImage qw(entry write_image);
use TestSupport qw(wait_until);

Faults::prepare();

subtest 'storage' => sub {
    my $full = mount_root('size=1m');
    my $result = try_extract($LARGE, $full);
    is_error(
        'full file system (tmpfs of 1 MiB)', $result, 'io.pve.oci.EntryFailed',
        qr/ENOSPC/
    );
    nothing_left('full file system', $full);
    ok(umount_root($full), 'unmounted at once');

    my $inodes = mount_root('nr_inodes=20');
    is_error(
        'no inodes left (tmpfs of 20)', try_extract($LARGE, $inodes),
        'io.pve.oci.EntryFailed', qr/ENOSPC/
    );
    nothing_left('no inodes left', $inodes);
    umount_root($inodes);

    my $read_only = mount_root('ro');
    is_error(
        'read-only root directory', try_extract($SMALL, $read_only),
        'io.pve.oci.SystemError', qr/EROFS/
    );
    umount_root($read_only);

    my $gone = new_root();
    my $child = slow_extraction($gone);
    # a file that is made meanwhile keeps rm from it
    wait_until(sub { system("rm -rf $gone 2>/dev/null"); !-e $gone }) or die "not removed\n";
    $result = result_of($child);
    is_error('root directory removed meanwhile', $result, 'io.pve.oci.EntryFailed', qr/ENOENT/);

    my $lost = mount_root('size=64m');
    $child = slow_extraction($lost);
    unmount_lazily($lost);
    $result = result_of($child);
    row('root directory unmounted lazily meanwhile', $result);
    nothing_left('unmounted lazily', $lost);
    serves_on('storage');
};

sub loop_file_system ($name, $mebibytes, @command) {
    my $image = "$DIRECTORY/$name.img";
    open(my $file, '>', $image) or die "open $image: $!\n";
    truncate($file, $mebibytes << 20) or die "truncate: $!\n";
    close($file);
    my ($make, @options) = @command;
    qx{which $make} or return;
    system($make, '-q', @options, $image) == 0 or return;
    chomp(my $device = `losetup --find --show $image 2>/dev/null`);
    return if !$device;
    return ($image, $device);
}

subtest 'quota' => sub {
    my ($image, $device) = loop_file_system('quota', 256, 'mkfs.btrfs');
    plan(skip_all => 'no loop device, or no btrfs-progs') if !$device;
    my $mount = eval { mount_root('noatime', '-t', 'btrfs', $device) };
    system('losetup', '-d', $device);
    plan(skip_all => "no btrfs in this kernel: $@") if !$mount;
    system(   "btrfs quota enable $mount && btrfs subvolume create $mount/root >/dev/null"
            . " && btrfs qgroup limit 2M $mount/root") == 0
        or plan(skip_all => 'no quota groups');
    my $root = "$mount/root";
    my $result = try_extract($LARGE, $root);
    is_error('quota of 2 MiB (btrfs)', $result, 'io.pve.oci.EntryFailed', qr/EDQUOT/);
    nothing_left('quota', $root);
    ok(umount_root($mount), 'unmounted at once');
};

# ext4 mounted with "grpid": what is made in a directory has the directory's group, whoever makes
# it.
subtest 'groups of a file system mounted with grpid' => sub {
    my ($image, $device) = loop_file_system('grpid', 64, 'mkfs.ext4', '-F');
    plan(skip_all => 'no loop device') if !$device;
    my $mount = mount_root('grpid', $device);
    system('losetup', '-d', $device);
    my @names = qw(file link fifo sub sub/implied sub/implied/file);
    my $archive = write_image(
        "$DIRECTORY/groups.tar", { Cmd => ['/bin/sh'] },
        join(
            '',
            entry('5', 'mail/', gid => 8), entry('0', 'mail/file', content => 'x'),
            entry('2', 'mail/link', link => 'file'), entry('6', 'mail/fifo'),
            entry('5', 'mail/sub/'), entry('0', 'mail/sub/implied/file'),
        ),
    );
    is(try_extract($archive, $mount)->{error}, undef, 'extracted');
    is((stat("$mount/mail"))[5], 100_008, 'the directory');
    is((lstat("$mount/mail/$_"))[5], 100_000, "mail/$_") for @names;
    ok(umount_root($mount), 'unmounted at once');
};

subtest 'input and output errors' => sub {
    my ($image, $device) = loop_file_system('errors', 64, 'mkfs.ext4', '-F');
    plan(skip_all => 'no loop device') if !$device;
    my $mount = mount_root('errors=continue', $device);
    system('losetup', '-d', $device);
    system('cp', $LARGE, "$mount/large.tar");
    system('umount', $mount);
    system('mount', '-o', 'loop,errors=continue', $image, $mount);
    my $root = new_root();
    my $child = slow_extraction($root, "$mount/large.tar");
    truncate($image, 3 << 20) or die "truncate: $!\n"; # reads of what is beyond are errors
    system('sh', '-c', 'echo 3 > /proc/sys/vm/drop_caches');
    my $result = result_of($child);
    is_error(
        'EIO while the archive is read', $result, 'io.pve.oci.SystemError',
        qr/layer 1.*pread.*EIO/
    );
    nothing_left('EIO', $root);
    unmount_lazily($mount);
    serves_on('EIO');
};

subtest 'archives' => sub {
    my $archive = "$DIRECTORY/changing.tar";
    system('cp', $LARGE, $archive);
    my $root = new_root();
    my $child = slow_extraction($root, $archive);
    truncate($archive, 3 << 20) or die "truncate: $!\n";
    is_error(
        'archive truncated while it is read', result_of($child),
        'io.pve.oci.MalformedArchive', qr/changing\.tar/
    );
    nothing_left('archive truncated', $root);

    system('cp', $LARGE, $archive);
    $child = slow_extraction($root, $archive);
    open(my $file, '+<:raw', $archive) or die "open: $!\n";
    seek($file, -s $archive <= 4 << 20 ? 0 : -(2 << 20), 2);
    print {$file} noise(1 << 20);
    close($file);
    my $result = result_of($child);
    row('archive overwritten while it is read', $result);
    like($result->{name}, qr/DigestMismatch|MalformedArchive/, 'archive overwritten');
    nothing_left('archive overwritten', $root);

    my $secret = "$DIRECTORY/secret.tar";
    system('cp', $SMALL, $secret);
    chown(12345, 12345, $secret);
    chmod(0600, $secret);
    $result = try_extract($secret, $root);
    row('archive of another user, mode 0600', $result);
    is($result->{error}, undef, 'archive that only its owner may read');
};

Faults::end();
done_testing();
