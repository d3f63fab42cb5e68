package InitRootfs;

# A rootfs for tests of /.pve.init: empty but for /.pve.init, the program that dumps what it was
# started with, and a directory for it to work in. Needs gcc and root.

use v5.36;

use File::Temp qw(tempdir);

my $HERE = __FILE__ =~ s{[^/]*\z}{}r;

# Why this cannot be done here, or undef.
sub missing() {
    return 'needs root' if $> != 0;
    return 'needs gcc' if system('gcc --version >/dev/null 2>&1') != 0;
    return;
}

# Builds /.pve.init for an architecture; returns its path, undef without a compiler.
sub build_init ($arch) {
    my $directory = tempdir(CLEANUP => 1);
    my $command =
        "make -s -f $HERE../../native/pve-init.mk OUT=$directory $directory/init/$arch/pve.init";
    return if system("$command >/dev/null 2>&1") != 0;
    return "$directory/init/$arch/pve.init";
}

# Builds a static program from a file in this directory, once for each.
sub build_program ($source, $path) {
    state %built;
    if (!$built{$source}) {
        $built{$source} = tempdir(CLEANUP => 1) . '/program';
        system('gcc', '-static', '-O1', '-o', $built{$source}, "$HERE$source") == 0
            or die "gcc failed\n";
    }
    system('cp', $built{$source}, $path) == 0 or die "cp failed\n";
    return;
}

# Makes a rootfs whose program is /bin/dump, owned by this id. The program waits for a signal if
# there is a file /wait.
sub create ($owner = 0) {
    my $directory = tempdir(CLEANUP => 1);
    chmod(0755, $directory) or die $!;
    my $rootdir = "$directory/rootfs"; # tests put files beside it
    mkdir($rootdir) or die $!;
    mkdir("$rootdir/$_") or die $! for qw(bin dev etc proc run sys tmp work);
    build_program('show-start.c', "$rootdir/bin/dump");
    open(my $out, '>', "$rootdir/out") or die $!;
    chmod(0666, "$rootdir/out") or die $!;
    system('chown', '-R', "$owner:$owner", $rootdir) == 0 or die "chown failed\n";
    return $rootdir;
}

# A new terminal of the devpts at this directory: its two ends.
sub open_terminal ($directory) {
    my ($TIOCSPTLCK, $TIOCGPTN) = (0x40045431, 0x80045430);
    open(my $master, '+<', "$directory/ptmx") or die "$directory/ptmx: $!\n";
    my $number = pack('i', 0);
    ioctl($master, $TIOCSPTLCK, $number) && ioctl($master, $TIOCGPTN, $number)
        or die "$directory/ptmx: $!\n";
    my $path = "$directory/" . unpack('i', $number);
    open(my $terminal, '+<', $path) or die "$path: $!\n";
    return ($master, $terminal, $path);
}

# What the program wrote: { argv => [...], env => [...], cwd, ids, pid, signal }.
sub dumped ($rootdir) {
    open(my $handle, '<:raw', "$rootdir/out") or die $!;
    my @records = split(
        /\0/,
        do { local $/ = undef; <$handle> }
            // '', -1
    );
    pop @records;
    my $result = {};
    my $read_to = sub ($end) {
        my @list;
        push @list, shift(@records) while @records && $records[0] ne $end;
        return \@list;
    };
    return $result if !@records;
    shift @records;
    $result->{argv} = $read_to->('env');
    shift @records;
    $result->{env} = $read_to->('cwd');
    return { $result->%*, @records };
}

1;
