#!/usr/bin/perl -T
# pvedaemon and pct run in taint mode. The client must work there with tainted paths, and data that
# it returns must be tainted.

use v5.36;

BEGIN {
    require Cwd;
    my ($directory) = Cwd::realpath(__FILE__) =~ m{\A(/.+)/[^/]+\z}s;
    unshift @INC, "$directory/lib", "$directory/../perl/lib";
    $ENV{PATH} = '/usr/sbin:/usr/bin:/sbin:/bin';
    delete @ENV{qw(IFS CDPATH ENV BASH_ENV)};
}

use File::Temp qw(tempdir);
use JSON;
use Scalar::Util qw(tainted);
use Test::More;

use FakeDaemon;

my @connected;

BEGIN {
    no warnings qw(once);
    *CORE::GLOBAL::connect = sub { push @connected, 1; CORE::connect($_[0], $_[1]) };
}
use PVE::OCI;

is(scalar(@connected), 0, 'loading connects to nothing');

my $taint = substr("$0$^X", 0, 0);
ok(tainted($taint), 'taint mode is on');

my $directory = tempdir(CLEANUP => 1);
open(my $handle, '>', "$directory/image.tar") or die $!;

my $reply = [
    'reply',
    {
        parameters =>
            { result => { warnings => [] }, config => { Cmd => ['sh'], Env => ['A=b'] } }
    },
];

for my $how (qw(environment option)) {
    my $daemon = FakeDaemon->start([$reply]);
    my $socket = $daemon->socket() . $taint;
    ok(tainted($socket), "socket by $how is tainted");
    local $ENV{PVE_OCI_SOCKET} = $socket if $how eq 'environment';
    my $config = eval {
        PVE::OCI::parse_and_extract_image(
            "$directory/image.tar$taint", "$directory$taint", "amd64$taint",
            {
                $how eq 'option' ? (socket => $socket) : (), bwlimit => "5$taint",
                id_map =>
                    [['u', "0$taint", '100000', '65536'], ['g', '0', '100000', "65536$taint"]],
            },
        );
    };
    is($@, '', 'tainted arguments are taken');
    is_deeply($config, { Cmd => ['sh'], Env => ['A=b'] }, 'config');
    ok(tainted($config->{Env}->[0]), 'what comes from the image is tainted');
    ok(!grep({ ref($_) !~ /\A(?:ARRAY|HASH|)\z/ } $config, values $config->%*), 'plain data');
}

subtest 'descriptors pass in taint mode, beside tainted values' => sub {
    my $daemon = FakeDaemon->start([$reply]);
    eval {
        PVE::OCI::parse_and_extract_image(
            $handle, "$directory$taint", "amd64$taint", { socket => $daemon->socket() },
        );
    };
    is($@, '', 'no error');
    is_deeply($daemon->call()->{descriptors}, ["$directory/image.tar"], 'descriptor arrived');
};

subtest 'a socket path of odd characters is refused' => sub {
    for my $path ("/tmp/x y$taint", "relative$taint", "/tmp/\$(x)$taint") {
        eval { PVE::OCI::get_info({ socket => $path }) };
        like(
            $@, qr/\Asocket path .* is not an absolute path of plain characters\n\z/,
            'refused'
        );
    }
};

done_testing();
