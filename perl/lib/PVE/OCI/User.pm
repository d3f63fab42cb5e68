package PVE::OCI::User;

# Resolves the image configuration's User by /etc/passwd and /etc/group of a rootfs, by the rules
# that docker and podman share: a name wins over a number, a number needs no entry, supplementary
# groups count only when no group is named.

use v5.36;

use PVE::OCI::Rootfs;

my $MAX_SIZE = 4 * 1024 * 1024;
my $MAX_ID = 0xfffffffe;

# The number, or undef. By a match, because what was read is tainted and owners are made from it.
my sub id_of ($text) {
    my ($digits) = ($text // '') =~ /\A([0-9]{1,10})\z/ or return;
    return $digits <= $MAX_ID ? $digits + 0 : undef;
}

# The entries of a file, as { name, id, rest => [fields] }; those with an id that is none are left
# out.
my sub entries ($content) {
    my @entries;
    for my $line (split(/\n/, $content // '')) {
        my ($name, undef, $id, @rest) = split(/:/, $line, -1);
        next if !defined($id) || $name eq '' || !defined(id_of($id));
        push @entries, { name => $name, id => id_of($id), rest => \@rest };
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
    return $entry ? $entry->{id} : id_of($text)
        // die "$what '$text' of the image is not in its $file\n";
}

# Like { uid => 1000, gid => 1000, groups => [10, 20] }. Dies if a name is not found.
sub resolve_in ($user, $passwd, $group) {
    my ($name, $group_name) = $user =~ /\A([^:]*)(?::([^:]*))?\z/
        or die "user '$user' of the image is not of the form user[:group]\n";
    $name = '0' if $name eq '';
    my $entry = find_entry($name, entries($passwd));
    my $uid = id_by_entry($entry, $name, 'user', '/etc/passwd');
    if (($group_name // '') ne '') {
        my $group_entry = find_entry($group_name, entries($group));
        my $gid = id_by_entry($group_entry, $group_name, 'group', '/etc/group');
        return { uid => $uid, gid => $gid, groups => [] };
    }
    my $gid = $entry ? id_of($entry->{rest}->[0]) // 0 : 0;
    my ($is_seen, @groups) = ({ $gid => 1 });
    for my $candidate ($entry ? entries($group) : ()) {
        my %members = map { $_ => 1 } split(/,/, $candidate->{rest}->[0] // '');
        push @groups, $candidate->{id}
            if $members{ $entry->{name} } && !$is_seen->{ $candidate->{id} }++;
    }
    return { uid => $uid, gid => $gid, groups => \@groups };
}

# The same, reading the files in $rootdir: only regular ones, links never lead out of it.
sub resolve ($user, $rootdir) {
    utf8::encode($user) if utf8::is_utf8($user);
    my $files = PVE::OCI::Rootfs::run_in(
        $rootdir,
        sub {
            return [map { scalar(PVE::OCI::Rootfs::read_file($_, $MAX_SIZE, 1)) }
                    qw(/etc/passwd /etc/group)];
        },
    );
    return resolve_in($user, $files->@*);
}

1;
