package PVE::OCI::Interface;

# Reads the definition of a varlink interface and checks values against it, as pve.oci.varlink does
# in Java. The definitions lie beside this file; a mistake in one of them is a bug of ours.

use v5.36;
no warnings qw(experimental::builtin); ## no critic (ProhibitNoWarnings): created_as_number in 5.36

use Cwd ();

use builtin qw(created_as_number);

# Absolute, so that a program may change its directory before the first call.
my $DIRECTORY = Cwd::realpath(__FILE__) =~ s{/[^/]*\z}{}r;

my $BASIC = { map { $_ => 1 } qw(bool int float string object) };

# The tokens of the language: names and symbols.
my $TOKEN = qr{[A-Za-z][A-Za-z0-9_.-]*|->|\[\]|\[string\]|[?:,()]};

# A type is [kind, more]: the element's type of an optional, array or dictionary; the fields of a
# struct as pairs of name and type; the values of an enumeration; the name of a reference.
my ($parse_type, $mismatch);

my sub expect ($tokens, $symbol) {
    my $token = shift($tokens->@*) // 'the end';
    die "interface definition: $symbol expected, not $token\n" if $token ne $symbol;
    return;
}

# A struct or an enumeration: the first name is followed by a colon, or not.
my sub parse_parentheses ($tokens) {
    expect($tokens, '(');
    my (@fields, %values);
    while ($tokens->[0] ne ')') {
        expect($tokens, ',') if @fields || %values;
        my $name = shift($tokens->@*);
        if ($tokens->[0] eq ':') {
            shift($tokens->@*);
            push @fields, [$name, $parse_type->($tokens)];
        } else {
            $values{$name} = 1;
        }
    }
    expect($tokens, ')');
    return %values
        ? ['enumeration', \%values]
        : ['struct', \@fields, { map { $_->[0] => 1 } @fields }];
}

$parse_type = sub ($tokens) {
    return parse_parentheses($tokens) if $tokens->[0] eq '(';
    my $token = shift($tokens->@*);
    return ['optional', $parse_type->($tokens)] if $token eq '?';
    return ['array', $parse_type->($tokens)] if $token eq '[]';
    return ['dictionary', $parse_type->($tokens)] if $token eq '[string]';
    return [$BASIC->{$token} ? $token : 'reference', $token];
};

# The interface of that name: { type => { name => type }, method => { name => { input => type,
# output => type } }, error => { name => type } }. Dies if there is no definition, or none that can
# be read.
sub load ($name) {
    open(my $file, '<', "$DIRECTORY/$name.varlink")
        or die "cannot open the definition of $name: $!\n";
    my @tokens = map { s/#.*//r =~ /$TOKEN/g } readline($file);
    my $interface = { type => {}, method => {}, error => {} };
    expect(\@tokens, 'interface');
    expect(\@tokens, $name);
    while (my $kind = shift @tokens) {
        die "interface definition: unknown keyword $kind\n" if !$interface->{$kind};
        my $member = shift @tokens;
        my $type = parse_parentheses(\@tokens);
        if ($kind eq 'method') {
            expect(\@tokens, '->');
            $type = { input => $type, output => parse_parentheses(\@tokens) };
        }
        $interface->{$kind}->{$member} = $type;
    }
    return $interface;
}

my sub is_number ($value) {
    return defined($value) && !ref($value) && created_as_number($value);
}

# JSON::PP leaves numbers with a fraction as strings; nothing that is checked here has one.
my $IS_BASIC = {
    # in a call also \0 and \1, which JSON encodes as false and true
    bool => sub ($value) { ref($value) =~ /\A(?:JSON::PP::Boolean|SCALAR)\z/ },
    int => sub ($value) { is_number($value) && $value =~ /\A-?[0-9]+\z/ },
    float => \&is_number,
    string => sub ($value) { defined($value) && !ref($value) && !created_as_number($value) },
    object => sub ($value) { ref($value) eq 'HASH' },
};

my sub struct_mismatch ($interface, $type, $value, $path) {
    return $path if ref($value) ne 'HASH';
    my (undef, $fields, $is_field) = $type->@*;
    my $prefix = $path eq '' ? '' : "$path.";
    for my $key (sort keys $value->%*) {
        return "$prefix$key" if !$is_field->{$key};
    }
    for my $field ($fields->@*) {
        my ($name, $field_type) = $field->@*;
        my $found = $mismatch->($interface, $field_type, $value->{$name}, "$prefix$name");
        return $found if defined($found);
    }
    return;
}

my $CHECKS = {
    optional => sub ($interface, $type, $value, $path) {
        return defined($value) ? $mismatch->($interface, $type->[1], $value, $path) : undef;
    },
    reference => sub ($interface, $type, $value, $path) {
        my $definition = $interface->{type}->{ $type->[1] }
            // die "interface definition: type $type->[1] is not defined\n";
        return $mismatch->($interface, $definition, $value, $path);
    },
    enumeration => sub ($interface, $type, $value, $path) {
        my $is_value = $IS_BASIC->{string}->($value) && $type->[1]->{$value};
        return $is_value ? undef : $path;
    },
    array => sub ($interface, $type, $value, $path) {
        return $path if ref($value) ne 'ARRAY';
        for my $i (0 .. $value->$#*) {
            my $found = $mismatch->($interface, $type->[1], $value->[$i], "${path}[$i]");
            return $found if defined($found);
        }
        return;
    },
    dictionary => sub ($interface, $type, $value, $path) {
        return $path if ref($value) ne 'HASH';
        for my $key (sort keys $value->%*) {
            my $found = $mismatch->($interface, $type->[1], $value->{$key}, "${path}[$key]");
            return $found if defined($found);
        }
        return;
    },
    struct => \&struct_mismatch,
};

# The first place where the value is not of the type, as "progress.phase" or "images[2].platform";
# undef when it is. $path is the place of the value itself.
$mismatch = sub ($interface, $type, $value, $path) {
    my $kind = $type->[0];
    my $is_basic = $IS_BASIC->{$kind}
        // return $CHECKS->{$kind}->($interface, $type, $value, $path);
    return $is_basic->($value) ? undef : $path;
};

sub mismatch ($interface, $type, $value, $path = '') {
    return $mismatch->($interface, $type, $value, $path);
}

1;
