#!/usr/bin/perl -T
# Which archives the create flow asks the engine about: told from their names, in taint mode.

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
use POSIX ();
use Test::More;

use PVE::LXC::OCI::Archive;
use TestImage qw(entry);

my $DIRECTORY = tempdir(CLEANUP => 1);
my ($TREE) = Cwd::realpath(__FILE__) =~ m{\A(/.+)/t/[^/]+\z}s;

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

my $HEX = '0123456789abcdef' x 4;
my %LIST = decode_json(slurp("$TREE/java/src/test/resources/image-names.json"))->%*;

subtest 'names, by the list that Java is held to as well' => sub {
    ok(PVE::LXC::OCI::Archive::is_image_name($_), "of an image: $_") for $LIST{image}->@*;
    ok(!PVE::LXC::OCI::Archive::is_image_name($_), "of another archive: $_")
        for $LIST{other}->@*;
    is(PVE::LXC::OCI::Archive::clean_name($_), $LIST{cleaned}->{$_}, "cleaned: $_")
        for sort keys $LIST{cleaned}->%*;
};

# The answer for a tar archive, by every program that is there: 1, 0, or the error of what the
# engine cannot read.
sub answers ($name, $content, $expected) {
    write_file('archive.tar', $content . "\0" x 1024);
    my $plain = PVE::LXC::OCI::Archive::may_be_image("$DIRECTORY/archive.tar");
    is($plain, $expected, "$name, plain");
    for my $program (qw(gzip zstd xz bzip2)) {
        my $path = "$DIRECTORY/archive.$program";
        next if system("$program -qc < $DIRECTORY/archive.tar > $path 2>/dev/null") != 0;
        my $answer = eval { PVE::LXC::OCI::Archive::may_be_image($path) };
        if ($expected && $program =~ /\A(?:xz|bzip2)\z/) {
            like(
                $@, qr/\A'\S+' is an image archive that is compressed with $program; /,
                "$name, $program"
            );
        } else {
            is($answer, $expected, "$name, $program");
        }
    }
    return;
}

subtest 'archives of images, whatever stands first' => sub {
    answers("begins with $_", entry('0', $_) . entry('0', 'manifest.json'), 1)
        for map { ($_, "./$_", "/$_") } $LIST{image}->@*;
    my $large = entry('0', 'LICENSE', content => 'x' x 300_000);
    my $image = entry('0', "$HEX.tar", content => 'x' x 5000) . entry('0', 'manifest.json');
    my %first = (
        'a directory of layers' => entry('5', 'layers/') . entry('0', 'layers/001.tar.gz'),
        'a large file' => $large, 'the name of a config' => entry('0', 'c.json'),
        'a label' => entry('V', 'label'), 'a dumpdir' => entry('D', './', content => "Yx\0\0"),
        'a global header' => entry('g', 'pax', content => "12 mtime=1.5\n"),
        'a long name' => entry('L', '././@LongLink', content => 'x/' x 100 . "\0")
            . entry('0', 'x'),
        'a directory of systems' => entry('5', 'etc/'),
        'five hundred others' => join('', map { entry('0', "other/$_") } 1 .. 500),
    );
    answers("after $_", $first{$_} . $image, 1) for sort keys %first;
    answers(
        'PAX path',
        entry('x', 'p', content => "22 path=manifest.json\n") . entry('0', 'cut'), 1
    );
    answers(
        'GNU long name',
        entry('L', 'l', content => "blobs/sha512/$HEX$HEX\0") . entry('0', 'blobs'), 1
    );
};

subtest 'root file systems' => sub {
    my $bin =
        entry('5', './') . entry('5', './bin/') . entry('0', './bin/sh', content => 'x' x 200_000);
    answers('of the usual kind', $bin . entry('0', './etc/passwd'), 0);
    answers('with a PAX header', entry('x', 'p', content => "12 mtime=1.5\n") . $bin, 0);
    answers('of many files', join('', map { entry('0', "usr/$_") } 1 .. 1500), 0);
    answers('of other names', join('', map { entry('0', "data/$_") } 1 .. 1500), 0);
    answers('empty', '', 0);
};

subtest 'what is no whole tar archive' => sub {
    write_file('text', 'blobs/' x 1000);
    write_file('archive.tar', entry('0', 'blobs/x') . "\0" x 1024);
    system("zstd -qc < $DIRECTORY/archive.tar > $DIRECTORY/archive.zstd");
    write_file('cut.zstd', substr(slurp("$DIRECTORY/archive.zstd"), 0, 20));
    write_file('empty', '');
    write_file('odd', entry('0', 'data/x') . 'x' x 512);
    is(PVE::LXC::OCI::Archive::may_be_image("$DIRECTORY/$_->[0]"), $_->[1], $_->[0])
        for ['text', 0], ['none', 0], ['cut.zstd', 0], ['empty', 0], ['odd', 1];
    POSIX::mkfifo("$DIRECTORY/fifo", 0600) or die $!;
    is(PVE::LXC::OCI::Archive::may_be_image("$DIRECTORY/fifo"), 0, 'a fifo does not hang');
};

done_testing();
