package PVE::OCI::ExtendedAttributes;

# Extended attributes, ACLs among them (xattr(7)), which Perl has no functions for. They are read
# and set by syscall(); on an architecture whose numbers are not here, files seem to have none.

use v5.36;

use Config;

my $MAX_SIZE = 65536; # XATTR_SIZE_MAX and XATTR_LIST_MAX of linux/limits.h

my $GENERIC = { set => 5, get => 8, list => 11, remove => 14 };
my $CALLS = {
    x86_64 => { set => 188, get => 191, list => 194, remove => 197 },
    aarch64 => $GENERIC,
    riscv64 => $GENERIC,
};

my ($MACHINE) = $Config{archname} =~ /\A([a-z0-9_]+)/;

# -1 is the number of no call: it fails with ENOSYS.
my sub number ($operation) { return ($CALLS->{$MACHINE} // {})->{$operation} // -1 }

# A path that leads to the open file. The calls that take a descriptor refuse one opened with
# O_PATH, and syscall() refuses a path that is tainted, which this one is not.
my sub link_of ($handle) { return '/proc/self/fd/' . fileno($handle) }

# All attributes of an open file: name => value, as bytes.
sub read_all ($handle) {
    my $path = link_of($handle);
    my $names = "\0" x $MAX_SIZE;
    my $length = syscall(number('list'), $path, $names, $MAX_SIZE);
    my $attributes = {};
    return $attributes if $length <= 0;
    for my $name (split(/\0/, substr($names, 0, $length))) {
        my $value = "\0" x $MAX_SIZE;
        my $size = syscall(number('get'), $path, "$name", $value, $MAX_SIZE);
        $attributes->{$name} = substr($value, 0, $size) if $size >= 0;
    }
    return $attributes;
}

# Makes the attributes what read_all returned. Those that cannot be changed, such as labels of
# security modules, were not changed by an image either.
sub restore ($handle, $attributes) {
    my $path = link_of($handle);
    my $now = read_all($handle);
    for my $name (grep { !exists($attributes->{$_}) } sort keys $now->%*) {
        syscall(number('remove'), $path, "$name");
    }
    for my $name (sort keys $attributes->%*) {
        my $value = $attributes->{$name};
        next if defined($now->{$name}) && $now->{$name} eq $value;
        syscall(number('set'), $path, "$name", "$value", length($value), 0);
    }
    return;
}

1;
