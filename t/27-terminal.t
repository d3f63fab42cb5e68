# pve-oci on real terminals of several widths, in tmux: progress stays one line, also when the
# terminal is resized, and leaves nothing behind.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use Encode qw(decode);
use File::Temp qw(tempdir);
use JSON;
use Test::More;
use Time::HiRes qw(sleep);

use FakeDaemon;
use PVE::OCI::CLI::Output;
use TestSupport qw(wait_until);

binmode(Test::More->builder->$_(), ':encoding(UTF-8)') for qw(output failure_output todo_output);

plan(skip_all => 'no tmux') if qx(tmux -V 2>/dev/null) eq '';

my $DIRECTORY = tempdir(CLEANUP => 1);
my $PROGRAM = "$FindBin::Bin/../bin/pve-oci";
mkdir("$DIRECTORY/rootfs") or die $!;
local $ENV{LC_ALL} = 'C.UTF-8';

my $is_running;
my $tmux_socket = "$DIRECTORY/tmux"; # of a server for each session

sub tmux (@words) {
    open(my $pipe, '-|', 'tmux', '-S', $tmux_socket, '-f', '/dev/null', @words)
        or die "tmux: $!\n";
    my $output = do { local $/ = undef; readline($pipe) };
    close($pipe);
    return decode('UTF-8', $output // '');
}

END {
    local $?;
    tmux('kill-server') if defined($tmux_socket) && $is_running;
}

# The lines from "before" on, also those that were scrolled away, without empty ones.
sub screen () {
    my $text = tmux('capture-pane', '-p', '-S', '-') =~ s/\A.*^(?=before$)//msr;
    return [grep { /\S/ } split(/\n/, $text)];
}

sub progress ($share, $phase = 'extracting') {
    my $total = 614_400_000;
    my $progress = {
        phase => $phase, layerIndex => 0, layersCount => 1, entriesWritten => 100_000,
        bytesRead => int($total * $share), bytesTotal => $total, bytesWritten => 1,
    };
    return ['reply', { continues => JSON::true, parameters => { progress => $progress } }];
}

my $DONE = [
    'reply',
    {
        parameters => {
            config => {},
            result => {
                entriesWritten => 3, warningsCount => 1,
                warnings => [{
                    entryPath => "\x{6f22}\x{5b57}", what => 'deviceNode',
                    detail => 'made a file',
                }],
            },
        },
    },
];

# Runs an extraction in a new window; $during is called while it shows progress.
sub extract_in ($columns, $steps, $during) {
    my @steps = map { (progress($_ / $steps), ['sleep', 0.1]) } 0 .. $steps;
    my $daemon = FakeDaemon->start([@steps, $DONE]);
    # a full screen: tmux puts the upper rows of one that is not into its history when it is resized
    my $command =
          "seq 30; echo before; $PROGRAM extract x $DIRECTORY/rootfs --socket "
        . $daemon->socket()
        . '; echo after $?; exec sleep 60';
    $tmux_socket = "$DIRECTORY/tmux$columns";
    my @size = ('-x', $columns, '-y', 24);
    $is_running = 1;
    tmux('new-session', '-d', '-s', "width$columns", @size, $command);
    wait_until(sub { "@{ screen() }" =~ /%/ }) or diag("@{ screen() }");
    $during->();
    wait_until(sub { "@{ screen() }" =~ /after [0-9]/ });
    my $screen = screen();
    tmux('kill-server');
    $is_running = 0;
    return $screen;
}

for my $columns (30, 40, 80, 200) {
    subtest "$columns columns" => sub {
        my $screen = extract_in(
            $columns, 25,

            sub () {
                for (1 .. 3) {
                    sleep(0.3);
                    my @lines = screen()->@*;
                    is(scalar(grep { /%/ } @lines), 1, 'one line of progress')
                        or diag(join("\n", @lines));
                    is($lines[0], 'before', 'the line before it stays');
                    cmp_ok(length($lines[-1]), '<', $columns, 'within the width');
                }
            },
        );
        my $text = join('', $screen->@*);
        unlike($text, qr/extracting/, 'nothing of it is left');
        like($text, qr/\x{6f22}\x{5b57}/, 'wide characters are shown');
        is($screen->[0], 'before', 'what was there before still is')
            or diag(join("\n", $screen->@*));
    };
}

subtest 'a terminal that is resized' => sub {
    my $screen = extract_in(
        100, 60,

        sub () {
            for my $columns (60, 30, 120, 45) {
                tmux('resize-window', '-x', $columns);
                sleep(0.5); # tmux tells the program only after a while
                my $is_one = wait_until(sub {
                    my @lines = screen()->@*;
                    return @lines == 2 && $lines[1] =~ /%/ && length($lines[1]) < $columns;
                });
                ok($is_one, "one line after the change to $columns columns")
                    or diag(join("\n", screen()->@*));
            }
        },
    );
    unlike(join('', $screen->@*), qr/extracting/, 'nothing of it is left');
    is($screen->[0], 'before', 'what was there before still is')
        or diag(join("\n", $screen->@*));
};

subtest 'a line that is said meanwhile' => sub {
    my $job = ['reply', { continues => JSON::true, parameters => { jobId => '5' } }];
    my $daemon = FakeDaemon->start([progress(0.5), ['sleep', 0.2], $job, $DONE]);
    $tmux_socket = "$DIRECTORY/tmux-said";
    my $command = "seq 30; echo before; $PROGRAM extract x $DIRECTORY/rootfs -v --socket "
        . $daemon->socket();
    $is_running = 1;
    tmux('new-session', '-d', '-x', 80, '-y', 24, "$command; echo after; exec sleep 60");
    wait_until(sub { "@{ screen() }" =~ /after/ });
    is(screen()->[1], 'pve-oci: extract: job 5', 'stands alone in its line');
    tmux('kill-server');
    $is_running = 0;
};

subtest 'wide characters in tables' => sub {
    my $verb = {
        columns => [],
        lists => [['rows', ['name', 'name'], ['size', 'size']]],
    };
    my $rows = [
        { name => 'abcd', size => 1 }, { name => "\x{6f22}\x{5b57}", size => 2 },
        { name => "e\x{301}a", size => 3 },
    ];
    is(
        PVE::OCI::CLI::Output::text($verb, { rows => $rows }, 0, 1),
        "NAME  SIZE\nabcd  1\n\x{6f22}\x{5b57}  2\ne\x{301}a    3\n",
        'columns stand below each other'
    );
};

done_testing();
