#!/usr/bin/perl
# PVE::LXC::OCI::Update by VMID, killed with SIGKILL before and after each thing that it does to the
# root file system or to the container's configuration. The next call finishes or takes back, and
# then the configuration is the one of the tree that is there. With stand-ins for the modules of
# Proxmox VE, and the embedded engine. PVE_OCI_TEST_KILLS: if set, with more steps and next calls.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/lib/stand-ins", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use POSIX ();
use Storable qw(dclone nstore retrieve);
use Test::More;

use PVE::LXC;
use PVE::LXC::Config;
use PVE::LXC::OCI;
use PVE::LXC::OCI::Init;
use PVE::LXC::OCI::Ownership;
use PVE::LXC::OCI::Update;
use PVE::OCI::Env;
use PVE::OCI::JVM;
use PVE::OCI::Origin;
use PVE::OCI::RootUpdate;
use TestSupport qw(home);
use TestUpdate qw(application fingerprint is_same_tree shell slurp write_file);

plan(skip_all => 'needs root') if $> != 0;
plan(skip_all => 'needs make') if !-d home() . '/native/init';
plan(skip_all => "no embedded engine: $@") if !eval { PVE::OCI::JVM::settings(); 1 };

my $VMID = 101;
my $ALL = $ENV{PVE_OCI_TEST_KILLS};
my $FOLDER = tempdir(CLEANUP => 1);
chmod(0755, $FOLDER) or die "chmod: $!\n";
my @SIGNAL = (undef, 'SIGTERM', 'SIGINT');
my @IMAGE = (
    undef,
    map {
        application(
            "$FOLDER/v$_.tar", $_,
            { StopSignal => $SIGNAL[$_], WorkingDir => "/lib$_", User => "7$_" }
        )
    } 1,
    2
);
my $rootdir = "$FOLDER/rootfs";
my $STORED = "$FOLDER/conf";
no warnings qw(once redefine); ## no critic (ProhibitNoWarnings): variables of stand-ins
$PVE::LXC::Config::IS_NEW = 1;
$PVE::LXC::rootdirs{$VMID} = $rootdir;

# The configuration is a file here, so that it outlives who writes it.
*PVE::LXC::Config::load_config = sub ($class, $vmid) { return retrieve($STORED) };
*PVE::LXC::Config::write_config = sub ($class, $vmid, $conf) {
    nstore($conf, "$STORED.new") && rename("$STORED.new", $STORED) or die "write: $!\n";
};

# Where a call is killed: before and after each of these.
my ($left, $signal, @passed) = (-1, 'KILL');
for my $name (qw(
    PVE::OCI::RootUpdate::stage_update PVE::OCI::RootUpdate::apply_update
    PVE::LXC::OCI::Init::install PVE::OCI::Origin::write_to PVE::LXC::Config::write_config
    PVE::LXC::OCI::Ownership::change PVE::LXC::umount_all
)) {
    no strict 'refs'; ## no critic (ProhibitNoStrict): wraps functions by their names
    my $function = \&{$name};
    my $step = sub ($when) {
        push @passed, "$when $name";
        kill($signal => $$) if $left-- == 0;
    };
    *{$name} = sub (@arguments) {
        $step->('before');
        my @result = wantarray ? $function->(@arguments) : scalar($function->(@arguments));
        $step->('after');
        return wantarray ? @result : $result[0];
    };
}

sub call ($verb, @options) {
    my %options =
        (mode => 'embedded', chown => [$verb eq 'update' ? [71, 72] : [72, 71]], @options);
    $options{archive} = $IMAGE[2] if $verb eq 'update';
    return PVE::LXC::OCI::Update::on_container($verb, $VMID, \%options);
}

# Calls in a child, which is killed at that step. Returns whether it was.
sub killed_at ($step, $verb) {
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        $left = $step;
        open($_, '>', '/dev/null') for \*STDERR, \*STDOUT;
        POSIX::_exit(eval { call($verb); 1 } ? 0 : 1);
    }
    waitpid($pid, 0);
    die "$verb failed\n" if $? >> 8;
    return $? == 9;
}

# Keys of LXC in whatever order.
sub settings ($file) {
    my $conf = retrieve($file);
    return { $conf->%*, lxc => [sort map { "@$_" } $conf->{lxc}->@*] };
}

# Version of the tree, and versions that the configuration and /.pve.env are of.
sub versions () {
    my $conf = retrieve($STORED);
    my %of_lxc = map { $_->@* } $conf->{lxc}->@*;
    my $init = PVE::OCI::Env::read_from($rootdir);
    my ($variable) = map { /\AVERSION=(\d)/ } $init->{variables}->@*;
    return join(
        ' ',
        slurp("$rootdir/bin/app") =~ s/\D//gr,
          $of_lxc{'lxc.signal.halt'} eq 'SIGTERM' ? 1
        : $of_lxc{'lxc.signal.halt'} eq 'SIGINT' ? 2
        : '?',
        ($of_lxc{'lxc.init.cwd'} // $init->{directory}) =~ s/\D//gr,
        $variable,
        $init->{uid} =~ s/\A7//r,
        PVE::OCI::Origin::read_from($rootdir)->{config}->{Env}->[0] =~ s/\D//gr,
    );
}

mkdir($rootdir) or die $!;
chown(100000, 100000, $rootdir) or die $!;
{
    my $conf = { unprivileged => 1, arch => 'amd64', hostname => 'ct' };
    open(my $log, '>', \my $text) or die $!;
    my $stdout = select($log);
    PVE::LXC::OCI::restore_archive({ ids => {} }, $IMAGE[1], $rootdir, $conf);
    select($stdout);
    push $conf->{lxc}->@*, ['lxc.environment', 'MINE=1'];
    nstore($conf, $STORED);
}
write_file("$rootdir/data/mine", 'mine');
shell($rootdir, 'chown -R 100071:100071 data');
is(versions(), '1 1 1 1 1 1', 'version 1');
my $DATA = shell("$rootdir/data", 'cat *; find . -printf "%p %m %s %T@\n" | sort');

my @COPY = (undef, map { "$FOLDER/copy$_" } 1, 2);

sub save ($version) {
    system('cp', '-a', $rootdir, $COPY[$version]) == 0 or die "cp failed\n";
    nstore(retrieve($STORED), "$COPY[$version].conf");
}

sub restore ($version) {
    system("rm -rf '$rootdir' && cp -a '$COPY[$version]' '$rootdir'") == 0 or die "cp failed\n";
    nstore(retrieve("$COPY[$version].conf"), $STORED);
}

save(1);
call('update');
is(versions(), '2 2 2 2 2 2', 'version 2');
save(2);
call('rollback');
is(versions(), '1 1 1 1 1 1', 'back to version 1');
is_deeply(settings($STORED), settings("$COPY[1].conf"), 'with the very same configuration');

# A task that is stopped by two signals at once: its file systems are unmounted, and it ends by its
# handler's error, with what the other version had or what this one has.
for my $case ([update => 1], [rollback => 2]) {
    my ($verb, $from) = $case->@*;
    restore($from);
    @passed = ();
    call($verb);
    my @steps = @passed;
    for my $step (grep { $steps[$_] =~ /\Aafter/ } 0 .. $#steps) {
        my $what = "$verb, stopped $steps[$step] ($step)";
        restore($from);
        @PVE::LXC::mounts = ();
        my $count = 0;
        local $SIG{TERM} = sub {
            kill(TERM => $$) if !$count++;
            die "received interrupt\n";
        };
        my $said = '';
        local $SIG{__WARN__} = sub ($line) { $said .= $line };
        ($left, $signal) = ($step, 'TERM');
        my $reply = eval { call($verb) };
        my $error = $@;
        ($left, $signal) = (-1, 'KILL');
        is($count, 2, "$what: twice");
        is($error, "received interrupt\n", "$what: it ends by it") if !$reply;
        is($PVE::LXC::mounts[-1], "unmount $VMID", "$what: unmounted");
        like(versions(), qr/\A(?:1 1 1 1 1 1|2 2 2 2 2 2)\z/, "$what: one version");
        ok(
            !-e "$rootdir/.pve.oci.update" || $said =~ /the next call finishes the update/,
            "$what: nothing is left, or it is said"
        );
    }
}

for my $case ([update => 1], [rollback => 2]) {
    my ($verb, $from) = $case->@*;
    restore($from);
    @passed = ();
    call($verb);
    my @steps = @passed;
    cmp_ok(scalar(@steps), '>=', 10, "$verb: it has steps");
    my ($finished) = grep { $steps[$_] =~ /\Aafter .*apply_update/ } reverse 0 .. $#steps;
    # after one thing is before the next
    my @chosen = grep { $ALL || $_ == $#steps || $steps[$_] =~ /\Abefore/ } 0 .. $#steps;
    for my $step (@chosen) {
        for my $next ($ALL || $step % 4 == 0 ? qw(update rollback) : $verb) {
            my $what = "$verb, killed $steps[$step] ($step), then $next";
            restore($from);
            ok(killed_at($step, $verb), "$what: killed");
            my $reply = eval { call($next) };
            my $error = $@;
            my $is_nothing = $next eq 'rollback' && $error =~ /there is no earlier tree/;
            ok($reply || $is_nothing, $what) or diag($error);
            my $wanted = $next eq 'update' ? 2 : 1;
            is(versions(), join(' ', ($wanted) x 6), "$what: tree and configuration");
            is_deeply(
                settings($STORED), settings("$COPY[$wanted].conf"),
                "$what: the very same configuration"
            );
            is(
                shell("$rootdir/data", 'cat *; find . -printf "%p %m %s %T@\n" | sort'),
                $DATA, "$what: the data"
            );
            is((stat("$rootdir/data/mine"))[4], 100070 + $wanted, "$what: its owner")
                if $reply;
            ok(!-e "$rootdir/.pve.oci.update", "$what: nothing is left");
            if ($next eq 'update') {
                like(
                    slurp("$rootdir/.pve.oci.previous/old/bin/app"), qr/1/,
                    "$what: version 1 can be gone back to"
                ) if $verb eq 'update' && $step < $finished;
            }
            last if !Test::More->builder->is_passing();
        }
        last if !Test::More->builder->is_passing();
    }
}

done_testing();
