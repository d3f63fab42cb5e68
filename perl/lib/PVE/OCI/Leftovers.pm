package PVE::OCI::Leftovers;

# Finds what an extraction that failed has left below its root directory, by comparing what is there
# with what was there before, and has it removed when the daemon that would do so has died.

use v5.36;

use Fcntl qw(S_ISDIR);
use Time::HiRes qw(sleep time);

use PVE::OCI::Error;
use PVE::OCI::RootDirectory;

my $MAXIMUM = 10_000; # a new root directory holds a handful of directories
my $MAXIMUM_DEPTH = 64;

my $WORKER = 'pve-oci-worker'; # the name of its processes
my $SECONDS_OF_WORKERS = 10;   # how long they may take to end when the daemon has died

# Calls $visit with the path and the status of each entry below the top, until it returns
# something, which is returned then. Of another file system, and of lost+found, only the first
# level is listed: volumes may be full of files.
my sub walk ($top, $visit) {
    my @status = lstat($top) or return;
    my @pending = (['', $status[0], 0]);
    while (my $next = shift @pending) {
        my ($path, $device, $depth) = $next->@*;
        opendir(my $directory, "$top$path") or next;
        for my $name (grep { $_ ne '.' && $_ ne '..' } readdir($directory)) {
            my @entry = lstat("$top$path/$name");
            my $found = $visit->("$path/$name", \@entry);
            return $found if defined($found);
            next if !@entry || !-d _ || $device != $status[0] || $depth >= $MAXIMUM_DEPTH;
            push @pending, ["$path/$name", $entry[0], $depth + 1]
                if $path ne '' || $name ne 'lost+found';
        }
    }
    return;
}

# What is below $top now, for find and clean_up_after: path => status as from lstat. Undef if $top
# is no directory or holds too much to be listed.
sub listed ($top) {
    return if !-d $top;
    my $before = {};
    my $is_too_much = walk(
        $top,
        sub ($path, $status) {
            $before->{$path} = $status;
            return keys($before->%*) > $MAXIMUM ? 1 : undef;
        },
    );
    return $is_too_much ? undef : $before;
}

# The first entry that was not there before, without a slash at its start; undef if there is none.
sub find ($top, $before) {
    my $found = walk($top, sub ($path, $status) { return $before->{$path} ? undef : $path });
    return defined($found) ? $found =~ s{\A/}{}r : undef;
}

# The entries that listed has found, as ExistingEntry of io.pve.oci.worker. Volumes were not listed,
# so nothing in them is changed.
my sub existing ($top, $before) {
    my $device = (lstat($top))[0];
    my @entries = map {
        my $status = $before->{$_};
        my $is_directory = $status->@* && S_ISDIR($status->[2]);
        my $is_closed = $status->@* && $status->[0] != $device;
        {
            path => s{\A/}{}r,
            isDirectory => $is_directory ? \1 : \0,
            $is_closed ? (isClosed => \1) : (),
        };
    } sort keys $before->%*;
    return [{ path => '', isDirectory => \1 }, @entries];
}

# The attributes that an image may change: of the open directory, and of the directories that listed
# has found below it, by path.
my sub attributes_of ($top, $before) {
    my $attributes = { '' => PVE::OCI::RootDirectory::attributes($top) };
    for my $path (grep { $before->{$_}->@* && S_ISDIR($before->{$_}->[2]) } keys $before->%*) {
        my $directory = PVE::OCI::RootDirectory::open_below($top, $path =~ s{\A/}{}r) // next;
        $attributes->{$path} = PVE::OCI::RootDirectory::attributes($directory);
    }
    return $attributes;
}

# Restores the attributes, the innermost directory first, because changes in a directory change its
# time. An image may have put links on the path, or another directory in the place of one.
my sub give_back ($handle, $before, $attributes) {
    for my $path (sort { length($b) <=> length($a) } keys $attributes->%*) {
        my $directory = PVE::OCI::RootDirectory::open_below($handle, $path =~ s{\A/}{}r) // next;
        my @status = stat($directory);
        my $same = $path eq '' ? \@status : $before->{$path};
        next if $status[0] != $same->[0] || $status[1] != $same->[1];
        PVE::OCI::RootDirectory::restore($directory, $attributes->{$path});
    }
    return;
}

# Paths of the entries of a directory below /proc whose names are numbers. glob() would load a
# module with each extraction.
my sub numbered ($directory) {
    opendir(my $handle, $directory) or return;
    return map { "$directory/$_" } grep { /\A[0-9]+\z/ } readdir($handle);
}

my sub is_worker ($process) {
    open(my $handle, '<', "$process/comm") or return 0;
    return (readline($handle) // '') eq "$WORKER\n";
}

# Whether a worker has the open directory open. Of one that is being killed some threads may have
# ended while others finish what they do, so all are asked.
my sub is_held ($directory) {
    my ($device, $inode) = stat($directory);
    for my $process (grep { is_worker($_) } numbered('/proc')) {
        for my $descriptor (map { numbered("$_/fd") } numbered("$process/task")) {
            my @status = stat($descriptor) or next;
            return 1 if $status[0] == $device && $status[1] == $inode;
        }
    }
    return 0;
}

# Workers end with the daemon, but not at the same moment. What one makes until then must not come
# after the cleaning.
my sub wait_for_worker ($directory, $say) {
    my $start = time();
    my $is_told = 0;
    while (is_held($directory)) {
        if (time() - $start > $SECONDS_OF_WORKERS) {
            $say->('its worker has not ended: what it makes from now on stays');
            return;
        }
        if (!$is_told && time() - $start > 1) {
            $say->('pve-ocid has ended during the job; waiting for the end of its worker');
            $is_told = 1;
        }
        sleep(0.02);
    }
    return;
}

# Runs $code, which has the daemon extract an image with these parameters, and returns its reply. If
# the daemon dies meanwhile and leaves files, the embedded engine removes them, and $say is called
# with lines that say so. Directories that were there before get their attributes back. Dies with
# the error of $code.
sub clean_up_after ($top, $parameters, $say, $code) {
    my $before = listed($top) // return $code->();
    opendir(my $directory, $top) or return $code->();
    my $attributes = attributes_of($directory, $before);
    my $reply = eval { $code->() };
    my $error = $@;
    return $reply if defined($reply);
    my $caught = PVE::OCI::Error::caught($error);
    die $error if !$caught || $caught->{name} ne 'ConnectionLost';
    wait_for_worker($directory, $say);
    if (defined(find($top, $before))) {
        $say->("pve-ocid has ended during the job; the embedded engine cleans $top");
        require PVE::OCI::Embedded; # not above: it is needed for nothing else
        eval { PVE::OCI::Embedded::clean_root($parameters, existing($top, $before), $say); 1 }
            or $say->("root directory not cleaned: $@" =~ s/\n\z//r);
        $say->("the embedded engine has removed what pve-ocid had left")
            if !defined(find($top, $before));
    }
    give_back($directory, $before, $attributes);
    die $error;
}

1;
