package PVE::OCI::User;

# Resolves the image configuration's User by /etc/passwd and /etc/group of a rootfs, by the rules
# that docker and podman share: a name wins over a number, a number needs no entry, supplementary
# groups count only when no group is named, anything after a second colon is ignored.

use v5.36;

use PVE::OCI::Rootfs;

my $MAX_SIZE = 4 * 1024 * 1024;
my $MAX_ID = 2147483647;

# The number, or undef. By a match, because what was read is tainted and owners are made from it.
my sub id_of ($text) {
    my ($digits) = ($text // '') =~ /\A([0-9]{1,10})\z/ or return;
    return $digits <= $MAX_ID ? $digits + 0 : undef;
}

# The entries of a file, as { name, id, rest => [fields] }. Blanks around a line do not count, which
# includes the carriage return of files with CR LF. An empty id is 0. Entries whose id is not a
# number are left out.
my sub entries ($content) {
    my @entries;
    for my $line (split(/\n/, $content // '')) {
        my ($name, undef, $id, @rest) = split(/:/, $line =~ s/\A\s+|\s+\z//gr, -1);
        next if !defined($id) || $name eq '';
        my $number = $id eq '' ? 0 : id_of($id);
        push @entries, { name => $name, id => $number, rest => \@rest } if defined($number);
    }
    return @entries;
}

my sub find_entry ($text, @entries) {
    my ($entry) = grep { $_->{name} eq $text } @entries;
    my $id = id_of($text);
    ($entry) = grep { $_->{id} == $id } @entries if !$entry && defined($id);
    return $entry;
}

my sub id_by_entry ($entry, $text, $what, $file) {
    return $entry->{id} if $entry;
    die "$what id $text of the image is not between 0 and $MAX_ID\n"
        if $text =~ /\A[-+]?[0-9]+\z/ && !defined(id_of($text));
    return id_of($text) // die "$what '$text' of the image is not in its $file\n";
}

# Like { uid => 1000, gid => 1000, groups => [10, 20], home => '/home/app' }. Dies if a name is not
# found.
sub resolve_in ($user, $passwd, $group) {
    my ($name, $group_name) = split(/:/, $user, -1);
    $name = '0' if ($name // '') eq '';
    my $entry = find_entry($name, entries($passwd));
    my $uid = id_by_entry($entry, $name, 'user', '/etc/passwd');
    my $home = $entry ? $entry->{rest}->[2] // '' : '';
    $home = '/' if $home eq '' || $home =~ /\0/;
    if (($group_name // '') ne '') {
        my $group_entry = find_entry($group_name, entries($group));
        my $gid = id_by_entry($group_entry, $group_name, 'group', '/etc/group');
        return { uid => $uid, gid => $gid, groups => [], home => $home };
    }
    my $gid = $entry ? id_of($entry->{rest}->[0]) // 0 : 0;
    my ($is_seen, @groups) = ({ $gid => 1 });
    for my $candidate ($entry ? entries($group) : ()) {
        my %members = map { $_ => 1 } split(/,/, $candidate->{rest}->[0] // '');
        push @groups, $candidate->{id}
            if $members{ $entry->{name} } && !$is_seen->{ $candidate->{id} }++;
    }
    return { uid => $uid, gid => $gid, groups => \@groups, home => $home };
}

# For code given to PVE::OCI::Rootfs::run_in: the two files that resolve_in takes. They must be
# regular files.
sub read_inside () {
    return [map { scalar(PVE::OCI::Rootfs::read_file($_, $MAX_SIZE, 1)) }
            qw(/etc/passwd /etc/group)];
}

1;
