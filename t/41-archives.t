#!/usr/bin/perl -T
# Which archives the create flow asks the engine about: told from their first bytes, in taint mode.

use v5.36;

BEGIN {
    require Cwd;
    my ($directory) = Cwd::realpath(__FILE__) =~ m{\A(/.+)/[^/]+\z}s;
    unshift @INC, "$directory/lib", "$directory/../perl/lib";
    $ENV{PATH} = '/usr/sbin:/usr/bin:/sbin:/bin';
    delete @ENV{qw(IFS CDPATH ENV BASH_ENV)};
}

use File::Temp qw(tempdir);
use POSIX ();
use Test::More;

use PVE::LXC::OCI::Archive;
use TestImage qw(entry);

my $DIRECTORY = tempdir(CLEANUP => 1);

sub write_file ($name, $content) {
    open(my $handle, '>:raw', "$DIRECTORY/$name") or die $!;
    print {$handle} $content;
    close($handle) or die $!;
    return;
}

sub slurp ($path) {
    open(my $handle, '<:raw', $path) or die "$path: $!";
    local $/ = undef;
    return readline($handle) // '';
}

subtest 'of compressed archives only those that begin like an image layout are asked about' => sub {
    my $tar = join('', map { entry('5', $_) } './', './blobs/', './blobs/sha256/')
        . entry('0', './blobs/sha256/x', content => 'x' x 100_000);
    my $rootfs = entry('5', './') . entry('5', './bin/');
    my $pax = entry('x', 'PaxHeaders/x', content => "12 mtime=1.5\n");
    my %expected = (
        layout => [$tar, 1], 'layout-pax' => [$pax . $tar, 1], rootfs => [$rootfs, 0],
        'rootfs-pax' => [$pax . $rootfs, 0], text => ['blobs/' x 1000, 0], nothing => ['', 0],
    );
    for my $name (sort keys %expected) {
        my ($content, $is_candidate) = $expected{$name}->@*;
        write_file("$name.tar", $content . "\0" x 1024);
        for my $program (qw(gzip zstd)) {
            my $path = "$DIRECTORY/$name.$program";
            next if system("$program -qc < $DIRECTORY/$name.tar > $path") != 0;
            is(PVE::LXC::OCI::Archive::may_be_image($path), $is_candidate, "$name, $program");
        }
    }
    my $cut = substr(slurp("$DIRECTORY/layout.zstd"), 0, 20);
    write_file('cut.zstd', $cut);
    is(PVE::LXC::OCI::Archive::may_be_image("$DIRECTORY/cut.zstd"), 0, 'cut short');
};

subtest 'of those that are not compressed every tar' => sub {
    is(PVE::LXC::OCI::Archive::may_be_image("$DIRECTORY/$_->[0]"), $_->[1], $_->[0])
        for ['layout.tar', 1], ['rootfs.tar', 1], ['text.tar', 0], ['none', 0];
    POSIX::mkfifo("$DIRECTORY/fifo", 0600) or die $!;
    is(PVE::LXC::OCI::Archive::may_be_image("$DIRECTORY/fifo"), 0, 'a fifo does not hang');
};

done_testing();
