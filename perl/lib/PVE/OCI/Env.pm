package PVE::OCI::Env;

# The file /.pve.env in a container's rootfs: what /.pve.init starts, with which environment, as
# whom.
#
# Records ended by NUL, numbers decimal; native/pve-init.c reads the same:
#
#     pve.env 1 VARIABLES ARGUMENTS UID GID [GROUP...]
#     NAME=VALUE        VARIABLES times
#     ARGUMENT          ARGUMENTS times, the first is the command
#
# As plain data: { variables => [...], command => [...], uid => 0, gid => 0, groups => [...] },
# strings as bytes. uid and gid 0 without groups: /.pve.init stays who it is.

use v5.36;

use PVE::OCI::Rootfs;

our $PATH = '/.pve.env';

my $MAX_SIZE = 4 * 1024 * 1024; # as in native/pve-init.c
my $MAX_GROUPS = 64;
my $MAX_STRINGS = 32767;        # less than half of what pve-init.c has room for

my sub check_id ($id) {
    my ($digits) = ($id // '') =~ /\A([0-9]{1,10})\z/ or die "'" . ($id // '') . "' is not an id\n";
    die "id $digits is too large\n" if $digits >= 0xffffffff;
    return $digits + 0;
}

# The name of a variable; dies if it is not NAME=VALUE.
sub variable_name ($variable) {
    my ($name) = $variable =~ /\A([^=\0]+)=[^\0]*\z/s or die "'$variable' is not NAME=VALUE\n";
    return $name;
}

sub encode ($data) {
    my ($variables, $command, $groups) = map { $_ // [] } $data->@{qw(variables command groups)};
    die "the command is missing\n" if !$command->@*;
    variable_name($_) for $variables->@*;
    die "an argument of the command holds a NUL\n" if grep { /\0/ } $command->@*;
    die "more than $MAX_GROUPS groups\n" if $groups->@* > $MAX_GROUPS;
    die "more than $MAX_STRINGS variables or arguments\n"
        if $variables->@* > $MAX_STRINGS || $command->@* > $MAX_STRINGS;
    my @ids = map { check_id($_) } $data->{uid} // 0, $data->{gid} // 0, $groups->@*;
    my $header = join(' ', 'pve.env 1', scalar($variables->@*), scalar($command->@*), @ids);
    my $content = join('', map { "$_\0" } $header, $variables->@*, $command->@*);
    die "$PATH would be larger than $MAX_SIZE bytes\n" if length($content) > $MAX_SIZE;
    return $content;
}

sub decode ($content) {
    my ($header, @records) = split(/\0/, $content, -1);
    my $is_whole = @records && pop(@records) eq '';
    my ($variables, $arguments, @ids) =
        ($header // '') =~ /\Apve\.env 1((?: [0-9]{1,10}){4,})\z/ ? split(' ', $1) : ();
    die "$PATH is damaged\n"
        if !$is_whole
        || !$arguments
        || $variables + $arguments != @records
        || @ids > $MAX_GROUPS + 2;
    my @variables = splice(@records, 0, $variables);
    variable_name($_) for @variables;
    my ($uid, $gid, @groups) = map { check_id($_) } @ids;
    return {
        variables => \@variables,
        command => \@records,
        uid => $uid,
        gid => $gid,
        groups => \@groups,
    };
}

# Sets variables given as NAME=VALUE: in the place of one with the same name, else at the end.
sub set_variables ($data, @variables) {
    for my $variable (@variables) {
        my $name = variable_name($variable);
        my ($index) =
            grep { variable_name($data->{variables}->[$_]) eq $name } 0 .. $data->{variables}->$#*;
        $data->{variables}->[$index // $data->{variables}->@*] = $variable;
    }
    return;
}

# Removes variables by name; dies if one is not there.
sub unset_variables ($data, @names) {
    for my $name (@names) {
        my @kept = grep { variable_name($_) ne $name } $data->{variables}->@*;
        die "variable '$name' is not set\n" if @kept == $data->{variables}->@*;
        $data->{variables} = \@kept;
    }
    return;
}

# Reads the file of a rootfs.
sub read_from ($rootdir) {
    my $content = PVE::OCI::Rootfs::run_in(
        $rootdir, sub { scalar(PVE::OCI::Rootfs::read_file($PATH, $MAX_SIZE)) },
    );
    die "there is no $PATH in '$rootdir': not made from an OCI image?\n" if !defined($content);
    return decode($content);
}

# Changes the file of a rootfs; owner and mode stay.
sub write_to ($rootdir, $data) {
    my $content = encode($data);
    PVE::OCI::Rootfs::run_in(
        $rootdir,
        sub {
            my $status = PVE::OCI::Rootfs::file_status($PATH)
                // die "there is no $PATH in rootfs\n";
            PVE::OCI::Rootfs::replace_file($PATH, $content, $status->@{qw(uid gid mode)});
        },
    );
    return;
}

1;
