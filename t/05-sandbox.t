#!/usr/bin/perl
# The worker's sandbox, seen from inside (SandboxProbe makes the calls) and from the host (/proc).
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";

use Fcntl qw(O_CREAT O_DIRECTORY O_WRONLY S_IFBLK S_IFCHR S_IFIFO S_IFREG);
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use Probe qw(MAP call directory log_file next_path plan_probe ready_probe);
use TestSupport qw(ask child_of clone_mount home jdks namespace_of process_status stop_worker);

use constant {
    AT_FDCWD => -100,
    CLONE_NEWUSER => 0x10000000,
    CLONE_VM => 0x100,
    SIGCHLD => 17,
    TIOCSTI => 0x5412,
    PR_SET_PDEATHSIG => 1,
};

plan_probe();

sub refused ($probe, $name, @arguments) {
    return is(call($probe, $name, @arguments), 'EPERM', "$name @arguments is refused");
}

sub sees_only_its_tree ($probe) {
    is(ask($probe, 'list /..'), ask($probe, 'list /'), '.. of the root is the root');
    unlike(
        ask($probe, 'list /'), qr/\b(?:proc|dev|sys|root|home|var|bin|lib)\b/,
        'the root has no directory of the host'
    );
    my @host = qw(/etc/passwd /etc/shadow /proc /proc/self/status /dev/null /sys /bin/sh);
    for my $path (@host, '/../../etc/passwd') {
        is(call($probe, 'openat', AT_FDCWD, $path, 0), 'ENOENT', "$path is not there");
    }
    is(
        call($probe, 'openat', AT_FDCWD, $_, O_CREAT | O_WRONLY, oct('0600')), 'EROFS',
        "$_ cannot be written"
    ) for '/new', home() . '/new', directory() . '/classes/new', "$probe->{jdk}/new";
    return;
}

sub refuses_system_calls ($probe) {
    refused($probe, 'execve', '/bin/true', 0, 0);
    refused($probe, 'execveat', AT_FDCWD, '/bin/true', 0, 0, 0);
    refused($probe, 'fork') if (POSIX::uname())[4] eq 'x86_64';
    refused($probe, 'clone', SIGCHLD, 0, 0, 0, 0);
    refused($probe, 'clone', CLONE_VM | CLONE_NEWUSER, 0, 0, 0, 0);
    is(call($probe, 'clone3', 'z:88', 88), 'ENOSYS', 'clone3 is unknown');
    refused($probe, 'socket', $_, 1, 0) for 1, 2, 10, 16;
    refused($probe, 'socketpair', 2, 1, 0, 'z:8');
    refused($probe, 'connect', 0, 'z:16', 16);
    refused($probe, 'mount', 'none', '/', 'tmpfs', 0, 0);
    refused($probe, 'umount2', '/', 2);
    refused($probe, 'pivot_root', '/', '/');
    refused($probe, 'chroot', '/');
    refused($probe, $_, 0, 0, 0, 0, 0)
        for qw(open_tree move_mount fsopen fsmount fspick mount_setattr);
    refused($probe, 'unshare', CLONE_NEWUSER);
    refused($probe, 'setns', 0, 0);
    refused($probe, 'ptrace', 0, 0, 0, 0);
    refused($probe, 'process_vm_readv', 1, 0, 0, 0, 0, 0);
    refused($probe, 'open_by_handle_at', 0, 'z:128', 0);
    refused($probe, 'name_to_handle_at', 0, '/', 'z:128', 'z:8', 0);
    refused($probe, 'bpf', 0, 'z:128', 128);
    refused($probe, 'perf_event_open', 'z:128', 0, -1, -1, 0);
    refused($probe, 'keyctl', 0, 0);
    refused($probe, 'add_key', 'user', 'a', 'b', 1, -1);
    refused($probe, 'io_uring_setup', 1, 'z:128');
    refused($probe, 'userfaultfd', 0);
    refused($probe, 'memfd_create', 'a', 0);
    refused($probe, 'setuid', 0);
    refused($probe, 'setgroups', 0, 0);
    refused($probe, 'capset', 'z:8', 'z:24');
    refused($probe, 'ioctl', 0, TIOCSTI, 'a');
    refused($probe, 'prctl', PR_SET_PDEATHSIG, 0, 0, 0, 0);
    refused($probe, 'kill', $_, 0) for 0, -1, 2;
    refused($probe, 'setpriority', 2, 0, 19);
    refused($probe, 'sched_setaffinity', 1, 128, 'z:128');
    refused($probe, 'reboot', 0, 0, 0, 0);
    refused($probe, 'init_module', 'z:8', 8, '');
    return;
}

sub allows_what_java_needs ($probe) {
    is(ask($probe, 'thread'), 'joined', 'threads start');
    is(ask($probe, 'exec /bin/true'), 'refused', 'Java starts no process');
    is(ask($probe, 'load libz.so.1'), 'loaded', 'a library loaded before the tree is found');
    is(
        ask($probe, 'load libisal.so.2'),
        -e '/usr/lib/x86_64-linux-gnu/libisal.so.2' ? 'loaded' : 'missing',
        'and one of those that our own code asks for'
    );
    is(ask($probe, 'load libseccomp.so.9'), 'missing', 'any other is not');
    is(ask($probe, 'environment'), '', 'the environment is empty');
    is(ask($probe, 'cores'), `nproc` =~ s/\n//r, 'the number of processors is known without /proc');
    is(call($probe, 'umask', 0), '= 0', 'the umask is 0');
    is(call($probe, 'getcwd', 'z:64', 64), '= 2', 'the working directory is /');
    return;
}

sub is_confined_as_the_host_sees_it ($probe) {
    my $pid = child_of($probe->{pid}) // die "no worker below $probe->{pid}\n";
    my $privileged = !defined($probe->{id_map});
    my $status = process_status($pid);
    my $kept = $privileged ? '000000008800001b' : '000000008000001b';
    is($status->{Seccomp}, 2, 'seccomp filters');
    is($status->{NoNewPrivs}, 1, 'no new privileges');
    is($status->{"Cap$_"}, $kept, "capabilities $_") for qw(Prm Eff Bnd);
    is($status->{"Cap$_"}, '0' x 16, "capabilities $_") for qw(Inh Amb);
    is($status->{Uid}, join("\t", ($privileged ? 0 : 100000) x 4), 'user id');
    is($status->{Gid}, join("\t", ($privileged ? 0 : 100000) x 4), 'group id');
    is($status->{Groups}, '', 'no supplementary groups');
    for my $name (qw(mnt pid net ipc uts cgroup)) {
        isnt(namespace_of($pid, $name), namespace_of('self', $name), "$name namespace is its own");
    }
    is(namespace_of($pid, 'user') eq namespace_of('self', 'user'), $privileged, 'user namespace');
    for my $map ($privileged ? () : qw(uid_map gid_map)) {
        open(my $file, '<', "/proc/$pid/$map") or die "open $map: $!\n";
        is(join(' ', split(' ', <$file>)), MAP, $map);
    }
    is_deeply(
        [sort map { readlink($_) =~ s/:.*//r } glob("/proc/$probe->{pid}/fd/*")],
        [log_file(), 'anon_inode', 'anon_inode', 'socket'],
        'the parent half holds the log, two pidfds and the pair'
    );
    is(process_status($probe->{pid})->{CapPrm}, '0' x 16, 'the parent half has no capabilities');
    return;
}

sub confines_a_detached_mount ($probe) {
    my $rootfs = next_path('rootfs');
    mkdir $rootfs or die "mkdir $rootfs: $!\n";
    my $owner = defined($probe->{id_map}) ? 100000 : 0;
    chown($owner, $owner, $rootfs) or die "chown $rootfs: $!\n";
    my $clone = clone_mount($rootfs, qw(nosuid nodev noexec));
    my $fd = ask($probe, 'fd', $clone);
    POSIX::close($clone);
    like($fd, qr/^\d+$/, 'the mount arrives') or return;

    is(call($probe, 'openat', $fd, '../../../../../etc/passwd', 0), 'ENOENT', 'no way up from it');
    is(call($probe, 'mkdirat', $fd, 'etc', oct('0755')), '= 0', 'a directory is made');
    is(
        call($probe, 'openat', $fd, '../../etc', O_DIRECTORY) =~ /^= \d+$/, 1,
        'and .. ends at the root of the mount'
    );
    is(call($probe, 'mknodat', $fd, 'fifo', S_IFIFO | oct('0600'), 0), '= 0', 'a fifo is made');
    is(call($probe, 'mknodat', $fd, 'file', S_IFREG | oct('0600'), 0), '= 0', 'a file is made');
    is(call($probe, 'fchownat', $fd, 'file', 5, 5, 0), '= 0', 'and given away');
    my $device = $owner ? 'EPERM' : '= 0';
    is(
        call($probe, 'mknodat', $fd, 'null', S_IFCHR | oct('0600'), 1 << 8 | 3), $device,
        "a character device: $device"
    );
    is(
        call($probe, 'mknodat', $fd, 'loop', S_IFBLK | oct('0600'), 7 << 8), $device,
        "a block device: $device"
    );
    is(call($probe, 'openat', $fd, 'null', 0), $owner ? 'ENOENT' : 'EACCES', 'and never opened');
    is(call($probe, 'openat2', $fd, 'file', 'z:24', 24) =~ /^= \d+$/, 1, 'openat2 is known');
    # setxattrat is there from Linux 6.13.
    is(call($probe, 'fchmodat2', $fd, 'file', oct('04755'), 0), '= 0', 'fchmodat2 is known');
    like(
        call($probe, 'setxattrat', $fd, 'file', 0, 'user.test', 'z:16', 16),
        qr/^(?:= 0|ENOSYS)$/,
        'setxattrat too'
    );
    is((stat("$rootfs/file"))[4], $owner + 5, 'on disk as the map has it');
    is((stat("$rootfs/etc"))[2] & oct('07777'), oct('0755'), 'with the mode asked for');
    return;
}

# What a worker gets to read it could also chmod, as root of a privileged container, were the mount
# not read-only.
sub leaves_the_archive_alone ($probe) {
    my $archive = next_path('archive');
    open(my $file, '>', $archive) or die "open $archive: $!\n";
    close($file);
    my $clone = clone_mount($archive, qw(rdonly nosuid nodev noexec));
    open(my $read_only, '<', "/proc/self/fd/$clone") or die "open: $!\n";
    POSIX::close($clone);
    my $fd = ask($probe, 'fd', fileno($read_only));
    is(call($probe, 'read', $fd, 'z:16', 16), '= 0', 'it is read');
    is(call($probe, 'fchmod', $fd, oct('04777')), 'EROFS', 'but its mode stays');
    is(call($probe, 'fchown', $fd, 0, 0), 'EROFS', 'and its owner');
    is(call($probe, 'fsetxattr', $fd, 'user.test', 'z:1', 1, 0), 'EROFS', 'and its attributes');
    return;
}

# Here only the filter protects the file: its mount is writable.
sub changes_nothing ($probe) {
    my $path = next_path('file');
    open(my $file, '+>', $path) or die "open $path: $!\n";
    chown(100000, 100000, $path) or die "chown: $!\n";
    my $fd = ask($probe, 'fd', fileno($file));
    is(call($probe, 'read', $fd, 'z:16', 16), '= 0', 'a file is read');
    refused($probe, 'fchmod', $fd, oct('04777'));
    refused($probe, 'fchown', $fd, 0, 0);
    refused($probe, 'fsetxattr', $fd, 'user.test', 'z:1', 1, 0);
    refused($probe, 'ftruncate', $fd, 0);
    refused($probe, 'fallocate', $fd, 0, 0, 1);
    refused($probe, 'mkdirat', AT_FDCWD, '/new', oct('0755'));
    refused($probe, 'mknodat', AT_FDCWD, '/new', S_IFREG | oct('0600'), 0);
    refused($probe, $_, AT_FDCWD, 'a', AT_FDCWD, 'b', 0) for qw(linkat renameat2);
    refused($probe, 'unlinkat', AT_FDCWD, 'a', 0);
    my $status = process_status(child_of($probe->{pid}));
    is($status->{"Cap$_"}, '0' x 16, "capabilities $_") for qw(Prm Eff Bnd Inh Amb);
    return;
}

for my $jdk (jdks()) {
    for my $map (undef, MAP) {
        my @map = (id_map => $map);
        subtest "$jdk, " . (defined($map) ? "map $map" : 'privileged') => sub {
            my $probe = ready_probe($jdk, @map);
            note(sprintf('ready after %.0f ms', 1000 * (time() - $probe->{started})));
            subtest 'tree' => sub { sees_only_its_tree($probe) };
            subtest 'system calls' => sub { refuses_system_calls($probe) };
            subtest 'Java' => sub { allows_what_java_needs($probe) };
            subtest 'from the host' => sub { is_confined_as_the_host_sees_it($probe) };
            subtest 'detached mount' => sub { confines_a_detached_mount($probe) };
            subtest 'archive' => sub { leaves_the_archive_alone($probe) };
            is(stop_worker($probe), 'exit 0', 'end of the connection ends it');
        };
    }
    subtest "$jdk, only reads" => sub {
        my $probe = ready_probe($jdk, id_map => MAP, only_reads => 1);
        subtest 'system calls' => sub { refuses_system_calls($probe) };
        subtest 'Java' => sub { allows_what_java_needs($probe) };
        subtest 'files' => sub { changes_nothing($probe) };
        is(stop_worker($probe), 'exit 0', 'end of the connection ends it');
    };
}

done_testing();
