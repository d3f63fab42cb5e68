package PVE::LXC::OCI::Ownership;

# Changes the owner of a container's data when its new image runs as another user: finds what
# belongs to the old user and gives it to the new one. Runs with rootfs as the root directory and
# follows no link.

use v5.36;

use File::Find ();
use Fcntl qw(S_ISLNK S_ISREG);
use POSIX ();

use PVE::OCI::RootUpdate;
use PVE::OCI::Rootfs;
use PVE::OCI::Text;

# So many entries of a path are looked at to find out whether somebody owns data in it.
my $MAX_LOOKED_AT = 100_000;

my $SET_IDS = 06000;

# fchownat(2), by machine of uname(2).
my $FCHOWNAT = { x86_64 => 260, aarch64 => 54, riscv64 => 54 };
my $AT_FDCWD = -100;
my $AT_SYMLINK_NOFOLLOW = 0x100;

# The host's id for one of the container's, of a user ("u") or group ("g"); undef if the container
# does not have it.
my sub host_id ($id_map, $type, $id) {
    return $id if !defined($id) || !$id_map->@*;
    for my $entry (grep { $_->[0] eq $type } $id_map->@*) {
        my (undef, $inside, $outside, $count) = $entry->@*;
        return $outside + $id - $inside if $id >= $inside && $id < $inside + $count;
    }
    return;
}

my sub walk ($path, $code) {
    File::Find::find(
        { wanted => $code, untaint => 1, untaint_pattern => qr{\A(.+)\z}s }, $path,
    );
    return;
}

# Takes the pairs of --chown: [old, new] is for a user and the group of the same number, [old, new,
# type] for one of them. Returns { type, old, new } for each.
my sub pairs ($given) {
    my @pairs;
    for my $each ($given->@*) {
        my ($old, $new, $type) = $each->@*;
        push @pairs, map { { type => $_, old => $old, new => $new } } $type // qw(u g);
    }
    return @pairs;
}

# Those of the paths in which something belongs to the container's user, or has its group.
my sub owned_by ($place, $user, $group, @paths) {
    my ($uid, $gid) = map { $_ // -1 } host_id($place->{id_maps}->[0], 'u', $user),
        host_id($place->{id_maps}->[0], 'g', $group);
    my $found = PVE::OCI::Rootfs::run_in(
        $place->{rootdir},
        sub {
            my @owned;
            for my $index (0 .. $#paths) {
                my ($is_owned, $count) = (0, 0);
                my $look = sub {
                    my @status = lstat($_) or return;
                    $is_owned = 1 if $status[4] == $uid || $status[5] == $gid;
                    die "enough\n" if $is_owned || ++$count > $MAX_LOOKED_AT;
                };
                eval { walk(PVE::OCI::RootUpdate::path_bytes($paths[$index]), $look) };
                push @owned, $index if $is_owned;
            }
            return \@owned;
        },
    );
    return map { PVE::OCI::Text::one_line($paths[$_]) } $found->@*;
}

# The line that says that a new image's user is another one than the old image's, who has data in
# some of the paths; undef if there is nothing to say.
sub warning ($place, $given, $current, $init, @paths) {
    return if !$current;
    my %other;
    for my $each ([u => 'uid'], [g => 'gid']) {
        my ($type, $key) = $each->@*;
        my ($old, $new) = ($current->{$key}, $init->{$key});
        next if $old == $new || grep { $_->{type} eq $type && $_->{old} == $old } pairs($given);
        $other{$type} = "$old:$new";
    }
    return if !%other;
    my @ids = map { defined($_) ? /\A([0-9]+)/ : undef } @other{qw(u g)};
    my @owned = owned_by($place, @ids, @paths);
    my @advice = grep { defined($_) } $other{u};
    push @advice, "g:$other{g}" if defined($other{g}) && $other{g} ne ($other{u} // '');
    @advice = map { "--chown $_" } @advice;
    my ($what, $key) = $other{u} ? ('user', 'uid') : ('group', 'gid');
    my $line =
        "warning: the command now runs as $what $init->{$key}, before it was $current->{$key}";
    return $line if !@owned;
    return "$line, which owns data in @owned: @advice gives it to the new one";
}

# Gives an entry to others, by the tables of new ids for old ones; counts what it has changed. An
# entry is looked up once: two users can be exchanged.
my sub change_one ($entry, $ids, $counts) {
    my ($name) = $entry =~ /\A(.+)\z/s; # a name cannot lead out of this root directory
    my @status = lstat($name) or return;
    my ($mode, $old_uid, $old_gid) = @status[2, 4, 5];
    my ($uid, $gid) = map { $_ // -1 } $ids->{u}->{$old_uid}, $ids->{g}->{$old_gid};
    return if $uid == -1 && $gid == -1;
    if (S_ISLNK($mode)) {               # perl's chown would follow it
        my $number = $FCHOWNAT->{ (POSIX::uname())[4] } // return;
        my $path = "$name";
        return if syscall($number, $AT_FDCWD, $path, $uid, $gid, $AT_SYMLINK_NOFOLLOW) != 0;
    } else {
        chown($uid, $gid, $name) or return;
        # changing the owner clears them
        chmod($mode & 07777, $name) if S_ISREG($mode) && $mode & $SET_IDS;
    }
    $counts->{u}->{$old_uid}++ if $uid != -1;
    $counts->{g}->{$old_gid}++ if $gid != -1;
    return;
}

my $TITLES = { u => 'user', g => 'group' };

# Gives what belongs to one id to another; returns lines that say how much.
sub change ($place, $given, @paths) {
    my (@lines, @known, $ids);
    for my $pair (pairs($given)) {
        my ($type, @both) = $pair->@{qw(type old new)};
        my ($old, $new) = map { host_id($place->{id_maps}->[0], $type, $_) } @both;
        if (!defined($old) || !defined($new)) {
            push @lines, "warning: --chown $both[0]:$both[1]: there is no such $TITLES->{$type}"
                . " in the container's id map";
            next;
        }
        $ids->{$type}->{$old} = $new;
        push @known, { $pair->%*, host => $old };
    }
    return @lines if !@known;
    my $done = PVE::OCI::Rootfs::run_in(
        $place->{rootdir},
        sub {
            my $counts = {};
            my $change = sub { change_one($_, $ids, $counts) };
            my $is_whole =
                eval { walk(PVE::OCI::RootUpdate::path_bytes($_), $change) for @paths; 1 };
            return { counts => $counts, error => $is_whole ? '' : $@ };
        },
    );
    for my $pair (@known) {
        my ($type, $old, $new, $host) = $pair->@{qw(type old new host)};
        my $count = $done->{counts}->{$type}->{$host} // 0;
        push @lines, "$count entries of $TITLES->{$type} $old belong to $TITLES->{$type} $new now"
            if $count || $type eq 'u';
    }
    push @lines, "warning: --chown was not finished: $done->{error}" if $done->{error} ne '';
    return @lines;
}

1;
