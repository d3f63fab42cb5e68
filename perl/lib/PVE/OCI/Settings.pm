package PVE::OCI::Settings;

# Reads what the Perl modules need of /etc/pve-ocid.conf, see pve-ocid.conf(5): the limits that the
# embedded engine must keep, as the daemon's workers do, and whether it may replace the daemon.

use v5.36;

use Errno qw(ENOENT);

use PVE::OCI::Error;

our $FILE //= '/etc/pve-ocid.conf'; # a test may have set it before this module is loaded

# Key => unit, minimum, maximum, as pve-ocid has them.
our $LIMITS = {
    'bandwidth-limit' => ['bytes', 0, 1 << 50],
    'maximum-entries' => ['count', 1, 1 << 40],
    'maximum-json-depth' => ['count', 8, 1000],
    'maximum-json-size' => ['bytes', 1024, 64 << 20],
    'maximum-json-values' => ['count', 100, 10_000_000],
    'maximum-name-size' => ['bytes', 255, 4096],
    'maximum-pax-size' => ['bytes', 1024, 64 << 20],
    'maximum-ratio' => ['count', 1, 1 << 30],
    'maximum-size' => ['bytes', 1, 1 << 60],
    'maximum-sparse-regions' => ['count', 0, 1 << 24],
    'maximum-steps' => ['count', 1000, 1 << 40],
    'maximum-xattr-size' => ['bytes', 1, 64 << 10],
    'maximum-xattrs' => ['count', 0, 100_000],
    'read-ahead' => ['bytes', 4 << 20, 128 << 20],
    'zstd-window-log' => ['count', 10, 31],
};

# Other settings that are used here.
my $OTHERS = {
    'allow-any-id-map' => ['flag'],
    'daemon-only' => ['flag'],
    'hang' => ['count', 10, 86_400],
};

# Those that concern the daemon alone: it checks their values.
our $IS_OF_DAEMON = { map { $_ => 1 } qw(idle-exit jobs queue spare-idle spares verbose) };

my $FLAGS =
    { (map { $_ => 1 } qw(yes on true 1)), (map { $_ => 0 } qw(no off false 0)) };

my $SHIFTS = { '' => 0, K => 10, M => 20, G => 30, T => 40 };

# A number of bytes that may end with K, M, G or T, for times 1024 and so on; undef if it is none.
sub parse_bytes ($text) {
    my ($digits, $suffix) = $text =~ /\A([0-9]{1,18})([KMGT]?)\z/ or return;
    my $shift = $SHIFTS->{$suffix};
    return if $digits > (1 << 62) >> $shift;
    return $digits << $shift;
}

my sub parse_value ($text, $unit, $minimum = 0, $maximum = 0) {
    return $FLAGS->{ lc($text) } if $unit eq 'flag';
    my $number =
        $unit eq 'bytes' ? parse_bytes($text) : $text =~ /\A([0-9]{1,18})\z/ ? $1 + 0 : undef;
    return defined($number) && $number >= $minimum && $number <= $maximum ? $number : undef;
}

my sub fail ($message) { PVE::OCI::Error->throw('InvalidSettings', $message) }

# Every key that the file may have.
sub keys_of_file () {
    return map { keys $_->%* } $LIMITS, $OTHERS, $IS_OF_DAEMON;
}

# The settings that the file has, by their keys. A wrong value is an error: an administrator who
# sets a limit wants it to be kept. There may be no file.
sub read_file ($path = $FILE) {
    my $settings = {};
    open(my $handle, '<', $path) or $! == ENOENT ? return $settings : fail("$path: $!");
    while (my $line = readline($handle)) {
        next if $line !~ /\A\s*[^\s#]/;
        my ($key, $value) = $line =~ /\A\s*([^=]*?)\s*=\s*(.*?)\s*\z/
            or fail("$path:$.: not of the form key = value");
        next if $IS_OF_DAEMON->{$key};
        my $row = $LIMITS->{$key} // $OTHERS->{$key} // fail("$path:$.: unknown key: $key");
        fail("$path:$.: $key is set a second time") if exists($settings->{$key});
        $settings->{$key} = parse_value($value, $row->@*)
            // fail("$path:$.: $key cannot be '$value', see pve-ocid.conf(5)");
    }
    close($handle);
    return $settings;
}

# The options of a request to the engine: the settings' limits by their names there, and what the
# caller wants. If both set a limit, the lower one counts; a bandwidth of 0 is no limit.
sub engine_options ($settings, $wanted) {
    my $options = {};
    for my $key (grep { $LIMITS->{$_} } keys $settings->%*) {
        $options->{ $key =~ s/-([a-z])/\u$1/gr } = $settings->{$key};
    }
    for my $name (keys $wanted->%*) {
        my $limit = $options->{$name} // 0;
        $options->{$name} = $wanted->{$name} if $limit == 0 || $wanted->{$name} < $limit;
    }
    return $options;
}

1;
