package PVE::OCI::Leftovers;

# Finds what an extraction that failed has left below its root directory, by comparing what is there
# with what was there before.

use v5.36;

my $MAXIMUM = 10_000; # a new root directory holds a handful of directories
my $MAXIMUM_DEPTH = 64;

# Calls $visit with the path of each entry below the top, until it returns something, which is
# returned then. Of another file system, and of lost+found, only the first level is listed: volumes
# may be full of files.
my sub walk ($top, $visit) {
    my @status = lstat($top) or return;
    my @pending = (['', $status[0], 0]);
    while (my $next = shift @pending) {
        my ($path, $device, $depth) = $next->@*;
        opendir(my $directory, "$top$path") or next;
        for my $name (grep { $_ ne '.' && $_ ne '..' } readdir($directory)) {
            my $found = $visit->("$path/$name");
            return $found if defined($found);
            my @entry = lstat("$top$path/$name");
            next if !@entry || !-d _ || $device != $status[0] || $depth >= $MAXIMUM_DEPTH;
            push @pending, ["$path/$name", $entry[0], $depth + 1]
                if $path ne '' || $name ne 'lost+found';
        }
    }
    return;
}

# What is below $top now, for find; undef if that cannot be told.
sub look ($top) {
    return if !-d $top;
    my $before = {};
    my $is_too_much = walk(
        $top,
        sub ($path) {
            $before->{$path} = 1;
            return keys($before->%*) > $MAXIMUM ? 1 : undef;
        },
    );
    return $is_too_much ? undef : $before;
}

# The first entry that was not there before, without a slash at its start; undef if there is none.
sub find ($top, $before) {
    my $found = walk($top, sub ($path) { return $before->{$path} ? undef : $path });
    return defined($found) ? $found =~ s{\A/}{}r : undef;
}

1;
