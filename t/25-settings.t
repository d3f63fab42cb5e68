# Compares PVE::OCI::Settings with the daemon's table: both must have the same keys and values.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use Test::More;

use PVE::OCI::Settings;
use TestSupport qw(home root settings_file);

my $file;

my sub read_settings (@lines) {
    $file = settings_file(@lines);
    return eval { PVE::OCI::Settings::read_file($file) };
}

subtest 'no file, and what is no setting' => sub {
    is_deeply(PVE::OCI::Settings::read_file('/nonexistent'), {}, 'no file');
    is_deeply(
        read_settings('# jobs = x', '', '   # a', 'jobs = 3'), {},
        'comments, keys of others'
    );
};

my @VALUES = (
    ['maximum-size', '20G', 20 << 30], ['maximum-size', ' 1T ', 1 << 40],
    ['maximum-size', '1048576T', 1 << 60],
    ['maximum-size', '7', 7], ['maximum-entries', '12', 12], ['bandwidth-limit', '0', 0],
    ['daemon-only', 'Yes', 1], ['daemon-only', 'off', 0], ['hang', '50', 50],
    ['hang', '9', undef],
    ['maximum-size', '20GB', undef], ['maximum-size', '20g', undef],
    ['maximum-size', '0', undef], ['maximum-size', '', undef], ['maximum-size', '-1', undef],
    ['maximum-size', '1048577T', undef],
    ['maximum-size', '99999999999999999999', undef], ['maximum-entries', '1K', undef],
    ['daemon-only', 'maybe', undef], ['zstd-window-log', '32', undef],
);
for my $case (@VALUES) {
    my ($key, $text, $expected) = $case->@*;
    my $settings = read_settings('', "$key =$text");
    if (defined($expected)) {
        is_deeply($settings, { $key => $expected }, "$key = $text");
    } else {
        like(
            $@, qr/\A\Q$file\E:2: \Q$key\E cannot be '\Q$text\E', see pve-ocid\.conf\(5\)\n\z/,
            "$key = $text is refused"
        );
    }
}

subtest 'lines that are wrong' => sub {
    read_settings('maximum-size');
    is($@, "$file:1: not of the form key = value\n", 'no value');
    read_settings('hang = 10', 'hang = 20');
    is($@, "$file:2: hang is set a second time\n", 'twice');
    is($@->{name}, 'InvalidSettings', 'its name');
    read_settings('jobs = 3', 'maximum-sise = 1M');
    is(
        $@, "$file:2: unknown key: maximum-sise\n",
        'a limit with a wrong name is not passed over'
    );
};

subtest 'limits of the caller' => sub {
    my $settings = read_settings('maximum-size = 100', 'bandwidth-limit = 0', 'hang = 30');
    is_deeply(
        PVE::OCI::Settings::engine_options($settings, {}),
        { maximumSize => 100, bandwidthLimit => 0 },
        'the file has them'
    );
    is_deeply(
        PVE::OCI::Settings::engine_options(
            $settings, { maximumSize => 50, bandwidthLimit => 5, maximumEntries => 6 },
        ),
        { maximumSize => 50, bandwidthLimit => 5, maximumEntries => 6 },
        'lower ones count'
    );
    is_deeply(
        PVE::OCI::Settings::engine_options($settings, { maximumSize => 500 }),
        { maximumSize => 100, bandwidthLimit => 0 },
        'higher ones do not'
    );
};

subtest 'the daemon has the same keys and ranges' => sub {
    plan(skip_all => 'needs make') if !-e home() . '/pve-oci.jar';
    my $program = root() . '/bin/pve-ocid';
    my @keys = qx($program --print-config) =~ /^#([a-z-]+) =/mg;
    cmp_ok(scalar(@keys), '>', 15, 'there are keys');
    is_deeply([sort @keys], [sort(PVE::OCI::Settings::keys_of_file())], 'the same keys');
    for my $key (grep { !$PVE::OCI::Settings::IS_OF_DAEMON->{$_} } @keys) {
        read_settings("$key = nonsense");
        like($@, qr/$key cannot be/, "$key is checked");
    }

    my %ranges = qx($program --print-config-pod) =~
        /^=item B<([a-z-]+)>\n\n[^\n]*?(from [0-9KMGT]+ to [0-9KMGT]+)/mg;
    for my $key (sort keys $PVE::OCI::Settings::LIMITS->%*) {
        my ($unit, @range) = $PVE::OCI::Settings::LIMITS->{$key}->@*;
        my @numbers = ($ranges{$key} // '') =~ /from (\w+) to (\w+)/;
        is_deeply(
            [map { PVE::OCI::Settings::parse_bytes($_) } @numbers], \@range,
            "$key: range"
        );
    }
};

done_testing();
