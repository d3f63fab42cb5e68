package PVE::OCI::IdMap;

# ID maps of user namespaces, checked as in the daemon. The kernel lets root write any map to
# /proc/PID/uid_map, so IDs that must not be mapped are refused here, in the daemon's words.

use v5.36;

use PVE::OCI::Varlink;

# user_namespaces(7): (uid_t) -1 is no ID, and the kernel takes 340 lines.
my $IDS = 0xffff_ffff;
my $MAXIMUM_RANGES = 340;

our %SUBORDINATE_FILE = (uidMap => '/etc/subuid', gidMap => '/etc/subgid');

# Root's range on every Proxmox VE host, used if the file has no line for root.
my $USUAL = [100000, 65536];

# The map for an engine that only reads: any map without the host's root will do.
sub of_reading() {
    return [{ inside => 0, outside => $USUAL->[0], count => $USUAL->[1] }];
}

# Not by join, which would turn the numbers into strings in JSON.
my sub text_of ($range) { return sprintf('%d %d %d', $range->@{qw(inside outside count)}); }

my sub invalid ($parameter, $message) {
    PVE::OCI::Varlink::fail(
        'io.pve.oci.InvalidArgument',
        $message,
        { parameter => $parameter, message => $message },
    );
}

# Root's lines in the file, as pairs of the first ID and their number.
my sub lines_of_root ($file) {
    my @ranges;
    if (open(my $handle, '<', $file)) {
        while (my $line = <$handle>) {
            push @ranges, [$1, $2] if $line =~ /\A\s*(?:root|0):([0-9]{1,10}):([0-9]{1,10})\s*\z/;
        }
    }
    return @ranges;
}

my sub subordinate_ids ($file) {
    my @ranges = lines_of_root($file);
    return @ranges ? @ranges : ($USUAL);
}

# "100000:65536" if that is root's range because the file has no line for root, else undef.
sub default_range ($file) { return lines_of_root($file) ? undef : join(':', $USUAL->@*) }

# The first ID on the host of the container that $id belongs to, in root's ranges for the parameter
# uidMap or gidMap: containers have $USUAL->[1] IDs each, one after the other. The ID itself if it
# is in none of these ranges.
sub first_of_container ($parameter, $id) {
    for my $range (subordinate_ids($SUBORDINATE_FILE{$parameter})) {
        my $offset = $id - $range->[0];
        return $id - $offset % $USUAL->[1] if $offset >= 0 && $offset < $range->[1];
    }
    return $id;
}

my sub is_within_ids ($first, $count) {
    return $first >= 0 && $first < $IDS && $count <= $IDS - $first;
}

my sub require_disjoint ($fail, $side, $ranges) {
    my @sorted = sort { $a->{$side} <=> $b->{$side} } $ranges->@*;
    my $where = $side eq 'inside' ? 'inside' : 'on the host';
    for my $i (1 .. $#sorted) {
        my ($before, $range) = @sorted[$i - 1, $i];
        next if $before->{$side} + $before->{count} <= $range->{$side};
        $fail->("ranges '" . text_of($before) . "' and '" . text_of($range) . "' overlap $where");
    }
    return;
}

# Dies unless the list of ranges of the parameter uidMap or gidMap may be a container's map. With
# $allows_any, the setting allow-any-id-map, any IDs but the host's root may be mapped.
sub check ($parameter, $ranges, $allows_any = 0) {
    my $fail = sub ($reason) { invalid($parameter, "invalid ID map: $reason") };
    return if !$ranges->@*;
    $fail->("more than $MAXIMUM_RANGES ranges") if $ranges->@* > $MAXIMUM_RANGES;
    my $file = $SUBORDINATE_FILE{$parameter};
    my @allowed = subordinate_ids($file);
    for my $range ($ranges->@*) {
        my ($inside, $outside, $count) = $range->@{qw(inside outside count)};
        my $text = "range '" . text_of($range) . "'";
        $fail->("$text: count is not valid") if $count <= 0 || $count > $IDS;
        $fail->("$text: ID out of range")
            if !is_within_ids($inside, $count) || !is_within_ids($outside, $count);
        $fail->("$text maps the host's root") if $outside == 0;
        $fail->("$text is not within root's ranges in $file")
            if !$allows_any
            && !grep { $outside >= $_->[0] && $outside + $count <= $_->[0] + $_->[1] } @allowed;
    }
    require_disjoint($fail, $_, $ranges) for qw(inside outside);
    $fail->('root is not mapped') if !grep { $_->{inside} == 0 } $ranges->@*;
    return;
}

# Dies unless both maps of a call are what they may be.
sub check_both ($uid_map, $gid_map, $allows_any = 0) {
    invalid($uid_map->@* ? 'gidMap' : 'uidMap', 'uidMap and gidMap must be given together')
        if !$uid_map->@* != !$gid_map->@*;
    check('uidMap', $uid_map, $allows_any);
    check('gidMap', $gid_map, $allows_any);
    return;
}

# "0 100000 65536,65536 200000 1": as the launcher of the sandbox takes it.
sub argument ($ranges) {
    return join(',', map { text_of($_) } $ranges->@*);
}

# The host's ID of the container's root, 0 without a map.
sub mapped_root ($ranges) {
    my ($root) = grep { $_->{inside} == 0 } $ranges->@*;
    return $root ? $root->{outside} : 0;
}

# The maps of the user namespace that this process is in, as ranges.
sub own ($name) {
    open(my $handle, '<', "/proc/self/$name") or die "cannot read /proc/self/$name: $!\n";
    my @ranges;
    while (my $line = <$handle>) {
        my ($inside, $outside, $count) = $line =~ /\A\s*([0-9]+)\s+([0-9]+)\s+([0-9]+)\s*\z/
            or next;
        push @ranges, { inside => $inside + 0, outside => $outside + 0, count => $count + 0 };
    }
    return \@ranges;
}

# Whether this process is in the first user namespace of the machine. No other has such a map.
sub is_initial_namespace() {
    my $ranges = eval { own('uid_map') } // return 1; # no /proc, or no user namespaces
    return $ranges->@* == 1 && text_of($ranges->[0]) eq '0 0 4294967295';
}

# Whether the user namespace that this process is in keeps it from changing its groups.
sub is_setgroups_denied() {
    open(my $handle, '<', '/proc/self/setgroups') or return 0;
    return (readline($handle) // '') =~ /\Adeny/ ? 1 : 0;
}

1;
