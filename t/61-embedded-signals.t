#!/usr/bin/perl
# Signals while the embedded engine works, and while it removes what an aborted extraction has made:
# a second one ends the waiting, as with the daemon. The engine that cleans is stopped before it has
# done anything.
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/lib/stand-ins", "$FindBin::Bin/../perl/lib";

use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use PVE::OCI;
use PVE::OCI::CLI;
use PVE::OCI::JVM;

use EmbeddedTest qw($DIRECTORY $IMAGE $SLOW entries_of new_root owner_of plan_embedded slurp);
use TestSupport qw(at_most child_of process_status settings_file wait_until);

plan_embedded();

my $SETTINGS = settings_file('daemon-only = no');

# From here on the second engine of this process does nothing, and its pid is in the file.
sub stop_cleaner ($file) {
    my ($start, $count) = (\&PVE::OCI::JVM::start, 0);
    no warnings qw(redefine); ## no critic (ProhibitNoWarnings): the real one is called
    *PVE::OCI::JVM::start = sub (@arguments) {
        my $pid = $start->(@arguments);
        return $pid if $count++ != 1;
        my $engine;
        wait_until(sub { $engine = child_of($pid) });
        # once it has threads its virtual machine starts; before that, what has made it waits for it
        sleep(0.001) while (process_status($engine) // { Threads => 2 })->{Threads} < 2;
        kill STOP => $engine;
        open(my $output, '>', "$file.new") or POSIX::_exit(98);
        print {$output} $engine;
        close($output);
        rename("$file.new", $file) or POSIX::_exit(98);
        return $pid;
    };
    return;
}

# A child that extracts the slow image, once its first files are there. What it says is in the file
# words, the pid of the engine that cleans in the file cleaner.
sub start ($extract, $is_held = 1) {
    my $rootdir = new_root();
    my $child = { rootdir => $rootdir, words => "$rootdir.words", cleaner => "$rootdir.cleaner" };
    $child->{pid} = fork() // die "fork: $!\n";
    if (!$child->{pid}) {
        POSIX::setsid();
        open(STDOUT, '>', $child->{words}) or POSIX::_exit(99);
        open(STDERR, '>&', \*STDOUT) or POSIX::_exit(99);
        stop_cleaner($child->{cleaner}) if $is_held;
        POSIX::_exit($extract->($rootdir));
    }
    wait_until(sub { entries_of($rootdir)->@* > 2 }) or die "nothing is extracted\n";
    return $child;
}

sub command ($rootdir) {
    return PVE::OCI::CLI::main('extract', '--embedded', '--bwlimit', 100, $SLOW, $rootdir);
}

# With the handlers that PVE's workers have.
sub task ($rootdir) {
    require PVE::LXC::OCI;
    no warnings qw(once); ## no critic (ProhibitNoWarnings): modules' variables
    local $PVE::OCI::Settings::FILE = $SETTINGS;
    local @SIG{qw(INT QUIT TERM)} = (sub { die "received interrupt\n" }) x 3;
    eval {
        PVE::LXC::OCI::restore_archive(
            { ids => {} }, $SLOW, $rootdir, { unprivileged => 1 },
            0, 100
        );
    };
    my $error = $@;
    print "$_\n" for @PVE::RESTEnvironment::warnings;
    return $error eq "received interrupt\n" ? 7 : 8;
}

for my $case (['the command', \&command, 128 + 15], ['a task', \&task, 7]) {
    my ($name, $extract, $code) = $case->@*;
    subtest "$name: a second signal" => sub {
        my $child = start($extract);
        my ($pid, $rootdir) = $child->@{qw(pid rootdir)};
        my $first = time();
        kill TERM => $pid;
        ok(wait_until(sub { -e $child->{cleaner} }), 'another engine is to clean');
        # on a loaded machine it may be too late for a double signal
        kill TERM => $pid if time() - $first < $PVE::OCI::Signals::SAME_REQUEST / 2;
        sleep(3);
        is(waitpid($pid, POSIX::WNOHANG()), 0, 'it is waited for; a double signal is one');
        my $start = time();
        kill TERM => $pid;
        is(waitpid($pid, 0), $pid, 'the second signal ends it');
        is($?, $code << 8, 'as the first one would have');
        cmp_ok(time() - $start, '<', at_most(3), 'at once');
        my $said = slurp($child->{words});
        like(
            $said, qr/embedded engine was not waited for: .* left in \Q$rootdir\E/,
            'it says that files may be left'
        );
        ok(!process_status(slurp($child->{cleaner})), 'no engine is left');
        is(owner_of($rootdir), '0:0', 'the owner is as it was');
    };
}

# After a failure that no signal has caused, the first one is the request to end.
subtest 'a signal while a failed extraction is taken back' => sub {
    my $child = start(sub ($rootdir) {
        local $SIG{TERM} = sub { die "received interrupt\n" };
        my $options = {
            bwlimit => 100,
            progress => sub { die "enough\n" if entries_of($rootdir)->@* > 3 },
        };
        eval { PVE::OCI::extract_image($SLOW, $rootdir, $options) };
        return $@ eq "received interrupt\n" ? 7 : 8;
    });
    my $pid = $child->{pid};
    ok(wait_until(sub { -e $child->{cleaner} }), 'another engine is to clean');
    sleep(3);
    kill TERM => $pid;
    sleep(1);
    is(waitpid($pid, POSIX::WNOHANG()), 0, 'does not end it');
    kill CONT => slurp($child->{cleaner});
    waitpid($pid, 0);
    is($?, 7 << 8, 'but is not lost');
    is_deeply(entries_of($child->{rootdir}), [], 'all is removed');
};

# One that comes while the handler is at work, for which the first has come.
subtest 'two signals at once' => sub {
    my $child = start(
        sub ($rootdir) {
            local $SIG{TERM} = sub {
                state $count = 0;
                kill(TERM => $$) if !$count++;
                die "received interrupt\n";
            };
            eval { PVE::OCI::extract_image($SLOW, $rootdir, { bwlimit => 100 }) };
            print $@;
            return $@ eq "received interrupt\n" && waitpid(-1, POSIX::WNOHANG()) == -1 ? 7 : 8;
        },
        0,
    );
    kill TERM => $child->{pid};
    waitpid($child->{pid}, 0);
    is($?, 7 << 8, 'the extraction ends as by one, and leaves no engine')
        or diag(slurp($child->{words}));
    is_deeply(entries_of($child->{rootdir}), [], 'all is removed');
};

done_testing();
