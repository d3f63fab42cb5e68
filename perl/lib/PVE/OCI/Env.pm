package PVE::OCI::Env;

# The file /.pve.env in a container's rootfs: what /.pve.init starts, with which environment, as
# whom.
#
# Records ended by NUL, numbers decimal; native/init-file.c reads the same:
#
#     pve.env 2 FLAGS VARIABLES ARGUMENTS UID GID [GROUP...]
#     DIRECTORY         where the command starts; may be empty
#     NAME=VALUE        VARIABLES times
#     ARGUMENT          ARGUMENTS times, the first is the command
#
# As plain data: { variables => [...], command => [...], uid => 0, gid => 0, groups => [...],
# directory => '/', init => 0 }, strings as bytes. With uid 0, gid 0 and no groups /.pve.init does
# not change its user. If init is true, an init is process 1 and the command is its child.
#
# Version 1 has neither FLAGS nor DIRECTORY. A container made with it has a /.pve.init that knows
# only this version, so the file keeps it.

use v5.36;

use PVE::OCI::Rootfs;

our $PATH = '/.pve.env';

my $FLAG_INIT = 1;
my $MAX_SIZE = 4 * 1024 * 1024; # as in native/init-file.h
my $MAX_GROUPS = 64;

# What execve(2) takes: MAX_ARG_STRLEN, and a quarter of the usual stack of 8 MiB for all strings
# with their pointers. Something of that is left for what LXC sets and for the interpreters of
# scripts.
my $MAX_STRING = 128 * 1024 - 1;
my $MAX_STRINGS_SIZE = 2 * 1024 * 1024 - 16 * 1024;
my $POINTER_SIZE = 8;

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

# Dies if the kernel would not start a command with these variables and arguments; the error names
# what is too large. The strings are bytes.
sub check_size ($variables, $command) {
    my ($total, $largest, $largest_name) = (0, -1, '');
    my $count = sub ($string, $name) {
        my $size = length($string);
        die "$name has $size bytes, but the kernel takes no more than $MAX_STRING\n"
            if $size > $MAX_STRING;
        ($largest, $largest_name) = ($size, $name) if $size > $largest;
        $total += $size + 1 + $POINTER_SIZE;
    };
    $count->($_, "variable '" . ($_ =~ s/=.*\z//sr) . "'") for $variables->@*;
    my $position = 0;
    $count->($_, 'argument ' . $position++ . ' of the command') for $command->@*;
    return if $total <= $MAX_STRINGS_SIZE;
    my ($variables_count, $arguments_count) = (scalar($variables->@*), scalar($command->@*));
    die "$variables_count variables and $arguments_count arguments need $total bytes, but the"
        . " kernel takes no more than $MAX_STRINGS_SIZE;"
        . " the largest is $largest_name with $largest bytes\n";
}

sub encode ($data) {
    my ($variables, $command, $groups) = map { $_ // [] } $data->@{qw(variables command groups)};
    my $directory = $data->{directory} // '';
    my $version = $data->{version} // 2;
    die "the command is missing\n" if !$command->@* && $version == 1;
    variable_name($_) for $variables->@*;
    die "an argument of the command holds a NUL\n" if grep { /\0/ } $command->@*;
    die "the directory holds a NUL\n" if $directory =~ /\0/;
    die "more than $MAX_GROUPS groups\n" if $groups->@* > $MAX_GROUPS;
    check_size($variables, $command);
    my @numbers = (scalar($variables->@*), scalar($command->@*));
    push @numbers, map { check_id($_) } $data->{uid} // 0, $data->{gid} // 0, $groups->@*;
    my @records;
    if ($version == 1) {
        die "the container was made by an older pve-oci, its /.pve.init has no mode with an init\n"
            if $data->{init};
        @records = ("pve.env 1 @numbers");
    } else {
        my $flags = $data->{init} ? $FLAG_INIT : 0;
        @records = ("pve.env 2 $flags @numbers", $directory);
    }
    my $content = join('', map { "$_\0" } @records, $variables->@*, $command->@*);
    die "$PATH would be larger than $MAX_SIZE bytes\n" if length($content) > $MAX_SIZE;
    return $content;
}

sub decode ($content) {
    my ($header, @records) = split(/\0/, $content, -1);
    my $is_whole = @records && pop(@records) eq '';
    my ($version, $numbers) = ($header // '') =~ /\Apve\.env ([12])((?: [0-9]{1,10}){4,})\z/
        or die "$PATH is damaged, or of another version than this pve-oci\n";
    my @numbers = split(' ', $numbers);
    my $flags = $version == 1 ? 0 : shift(@numbers);
    my $directory = $version == 1 ? undef : shift(@records);
    my ($variables, $arguments, @ids) = @numbers;
    die "$PATH is damaged\n"
        if !$is_whole
        || $version == 1 && !$arguments
        || $version == 2 && !defined($directory)
        || $variables + $arguments != @records
        || @ids < 2
        || @ids > $MAX_GROUPS + 2;
    my @variables = splice(@records, 0, $variables);
    variable_name($_) for @variables;
    my ($uid, $gid, @groups) = map { check_id($_) } @ids;
    return {
        $version == 1 ? (version => 1) : (),
        variables => \@variables,
        command => \@records,
        uid => $uid,
        gid => $gid,
        groups => \@groups,
        directory => $directory // '',
        init => $flags & $FLAG_INIT ? 1 : 0,
    };
}

# Sets variables given as NAME=VALUE: in the place of one with the same name, else at the end.
sub set_variables ($data, @variables) {
    my $position = 0;
    my %index = map { variable_name($_) => $position++ } $data->{variables}->@*;
    for my $variable (@variables) {
        my $index = $index{ variable_name($variable) } //= $position++;
        $data->{variables}->[$index] = $variable;
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
    die "there is no $PATH in '$rootdir': containers have it that pct create has made from an OCI"
        . " image\n"
        if !defined($content);
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
