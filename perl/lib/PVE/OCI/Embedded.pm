package PVE::OCI::Embedded;

# Calls of io.pve.oci without a daemon. This process does what the daemon does for a worker: it
# opens archive and rootfs, checks ID maps, reads the engine's replies, kills it, and cleans up
# after a failure, with the daemon's error messages. PVE::OCI::JVM starts a new engine for each
# call, unless the calls belong to a PVE::OCI::Session. Nothing here parses any part of an image.

use v5.36;

use Config;
use Errno qw(EINTR);
use Fcntl qw(F_SETFL O_NONBLOCK);
use POSIX qw(WNOHANG);
use Socket qw(AF_UNIX MSG_NOSIGNAL PF_UNSPEC SOCK_STREAM);
use Time::HiRes qw(sleep time);

use PVE::OCI::EngineFiles;
use PVE::OCI::Error;
use PVE::OCI::IdMap;
use PVE::OCI::Interface;
use PVE::OCI::JVM;
use PVE::OCI::RootDirectory;
use PVE::OCI::Settings;
use PVE::OCI::Signals;
use PVE::OCI::Text;
use PVE::OCI::Varlink;
use PVE::OCI::WorkerReplies;
use PVE::OCI::WorkerRequest;

# How long the engine may be silent, in seconds; the daemon has the same limit for workers.
our $PATIENCE = 60;

my $MAX_LOG_SIZE = 64 * 1024;
my $MAX_LOG_LINES = 100; # as many as the daemon logs of a worker

# Values of one reply. The images' own documents have at most maximum-json-values of them.
my $MAX_VALUES = 200_000;
my $MAX_JSON_VALUES = 200_000;

# How long a killed engine may take to end, in seconds. Only a system call that does not return can
# delay it.
our $END_PATIENCE = 10;

# How many engines clean up at most, one after the other; the daemon has the same number of workers.
my $CLEANING_ATTEMPTS = 6;

my sub fail (@arguments) { PVE::OCI::EngineFiles::fail(@arguments) }

# ID maps of the call, or those of the user namespace that this process is in already.
my sub id_maps ($is_extracting, $parameters, $allows_any) {
    my $is_own = !PVE::OCI::IdMap::is_initial_namespace();
    my ($uid_map, $gid_map) =
          $is_own ? map { PVE::OCI::IdMap::own($_) } qw(uid_map gid_map)
        : $is_extracting ? map { $_ // [] } $parameters->@{qw(uidMap gidMap)}
        : (PVE::OCI::IdMap::of_reading()) x 2;
    PVE::OCI::IdMap::check_both($uid_map, $gid_map, $allows_any)
        if !$is_own && $is_extracting;
    return {
        uid_map => $uid_map,
        gid_map => $gid_map,
        uid => PVE::OCI::IdMap::mapped_root($uid_map),
        gid => PVE::OCI::IdMap::mapped_root($gid_map),
        is_own => $is_own,
    };
}

# Adds to the settings what PVE::OCI::JVM::start has to know about this process and the call.
my sub complete_settings ($settings, $is_extracting, $maps) {
    if ($is_extracting && $> != 0) {
        fail(
            'PermissionDenied',
            "extraction is for root only, not for uid $>;"
                . ' others may pass a file descriptor to detect, inspect and verify',
        );
    }
    my $has_map = $> == 0 && !$maps->{is_own} && $maps->{uid_map}->@*;
    return {
        $settings->%*,
        $has_map
        ? (
            uid_map => PVE::OCI::IdMap::argument($maps->{uid_map}),
            gid_map => PVE::OCI::IdMap::argument($maps->{gid_map}),
            )
        : (),
        makes_devices => $is_extracting && !$maps->{is_own} && !$has_map ? 1 : 0,
        # an engine that only reads is root of its own user namespace, and has no capability in it
        only_reads => $is_extracting ? 0 : 1,
        needs_namespace => $> != 0 || !$is_extracting && $maps->{is_own} ? 1 : 0,
        keeps_groups => PVE::OCI::IdMap::is_setgroups_denied(),
    };
}

my sub start_engine ($settings) {
    socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC)
        or die "cannot make a socket pair: $!\n";
    pipe(my $log, my $log_writer) or die "cannot make a pipe: $!\n";
    socketpair(my $owner, my $owner_writer, AF_UNIX, SOCK_STREAM, PF_UNSPEC)
        or die "cannot make a socket pair: $!\n";
    # lines that do not fit are lost; a full pipe must not block the engine
    for my $handle ($log, $log_writer) {
        fcntl($handle, F_SETFL, O_NONBLOCK) or die "cannot set a pipe to non-blocking: $!\n";
    }
    my $pid = PVE::OCI::JVM::start($settings, map { fileno($_) } $theirs, $log_writer, $owner);
    die "cannot fork: $!\n" if $pid < 0;
    my $connection = PVE::OCI::Varlink::make_connection($ours, 'worker');
    $connection->{patience} = $settings->{hang} // $PATIENCE;
    $connection->{maximum_values} = $MAX_VALUES + ($settings->{json_values} // $MAX_JSON_VALUES);
    return { pid => $pid, connection => $connection, owner => $owner_writer, log => $log };
}

# Ends the engine if it still runs. Returns its exit status and what it wrote to standard error.
# When this returns, none of its processes is left. Signals are blocked.
my sub end_engine ($engine) {
    # a byte is sent too, because a process that the caller has forked meanwhile may hold the socket
    # open
    send($engine->{owner}, 'x', MSG_NOSIGNAL);
    close($engine->{owner});
    local $?;
    my ($pid, $end) = (0, time() + $END_PATIENCE);
    while (($pid = waitpid($engine->{pid}, WNOHANG)) == 0 || $pid < 0 && $! == EINTR) {
        if (time() > $end) {
            kill(KILL => $engine->{pid});
            return (undef, ["it does not end after $END_PATIENCE s"]);
        }
        sleep(0.001);
    }
    my $status = $pid < 0 ? undef : $? & 127 ? 128 + ($? & 127) : $? >> 8;
    close($engine->{connection}->{socket});
    sysread($engine->{log}, my $log, $MAX_LOG_SIZE);
    my @lines = map { PVE::OCI::Text::one_line($_) }
        map { s/\A<[0-7]>(?:pve-oci: )?//r } grep { /\S/ } split(/\n/, $log // '');
    return ($status, \@lines);
}

# Dies with the reason why there was no answer, in the daemon's words: "was killed by SIGKILL", and
# the engine's last line if it wrote one.
my sub fail_without_answer ($error, $status, $lines) {
    my $last = PVE::OCI::Error::caught($error) // die $error; # the caller's own exception
    fail('WorkerFailed', $last->{message}) if $last->{name} eq 'Silence';
    if ($last->{name} eq 'InvalidReply') {
        fail('WorkerFailed', 'worker sent an invalid reply: ' . ($last->{message} =~ s/.*?: //r));
    }
    die $error if $last->{name} ne 'ConnectionLost';
    my ($signal, $how);
    if (!defined($status)) {
        $how = 'is gone';
    } elsif ($status > 128) {
        # names by number; those from 32 on are the real-time ones
        my $name = $status < 160 && (split(/ /, $Config{sig_name}))[$status - 128];
        $signal = $name ? "SIG$name" : 'signal ' . ($status - 128);
        $how = "was killed by $signal";
    } else {
        $how = "left with exit status $status";
    }
    $how .= ": $lines->[-1]" if $lines->@*;
    fail(
        'WorkerFailed', "worker $how",
        { exitStatus => $signal ? undef : $status, signal => $signal },
    );
}

# The settings that an engine was started with, as text.
my sub settings_key ($settings) {
    return join(
        "\0", map { ("$_", ref($settings->{$_}) ? $settings->{$_}->@* : $settings->{$_} // '') }
            sort keys $settings->%*
    );
}

# Ends an engine that a session has kept.
my sub end_kept ($engine) {
    my $mask = PVE::OCI::JVM::block_signals();
    local $SIG{CHLD} = 'DEFAULT';
    my (undef, $lines) = end_engine($engine);
    warn "pve-oci: $_\n" for $lines->@*;
    PVE::OCI::JVM::restore_signals($mask);
    return;
}

# Lets one engine do one call. Then the engine is ended, unless a session keeps it. The request is {
# method, parameters, handles }. Returns the reply, or dies. $state is { mask, guard }: the signal
# mask while waiting for replies, and the guard of PVE::OCI::Signals. Signals are blocked before and
# after.
my sub run_call ($settings, $request, $on_reply, $state, $session = undef) {
    my $key = $session ? settings_key($settings) : '';
    my $engine;
    my ($reply, $error) = $state->{guard}->attempt(sub {
        $engine = $session->take($key) if $session;
        $engine //= start_engine($settings);
        PVE::OCI::JVM::restore_signals($state->{mask});
        # done while the engine starts, because that takes longer
        my $connection = $engine->{connection};
        $connection->{on_wait} = $state->{on_wait};
        $connection->{check} = PVE::OCI::WorkerReplies::checker($request->{method});
        PVE::OCI::Varlink::exchange(
            $connection,
            $request->{method},
            $request->{parameters},
            {
                more => 1,
                descriptors => [map { fileno($_) } $request->{handles}->@*],
                on_reply => $on_reply,
            },
        );
    });
    PVE::OCI::JVM::block_signals();
    die $error if !$engine;
    if (defined($reply) && $session) {
        $session->keep($engine, $key, \&end_kept);
        return $reply;
    }
    my ($status, $lines) = end_engine($engine);
    if (defined($reply)) {
        warn "pve-oci: $_\n" for $lines->@*;
        return $reply;
    }
    $state->{is_answered} = $engine->{connection}->{is_answered};
    die $error if $state->{is_answered};
    fail_without_answer($error, $status, $lines);
}

# Starts another engine to remove what the first one left, or to take an update back; when it is
# killed, by the kernel, say, another one goes on. If the user asks for an end once more, the engine
# is ended instead, and $on_abort gets a line, in which $left says what may be left. Signals are
# blocked before and after.
my sub clean ($settings, $request, $state, $left, $on_abort) {
    my $guard = $state->{guard};
    $guard->finish_only();
    my $is_ended;
    my $cleaning = {
        mask => $state->{mask},
        guard => $guard,
        on_wait => sub () {
            return if !$guard->is_impatient();
            $is_ended = 1;
            die "was not waited for\n";
        },
    };
    for my $attempt (1 .. $CLEANING_ATTEMPTS) {
        return if eval { run_call($settings, $request, undef, $cleaning); 1 };
        my $error = $@;
        if ($is_ended) {
            $on_abort->("the embedded engine was not waited for: $left");
            return;
        }
        my $caught = PVE::OCI::Error::caught($error);
        my $has_died = $caught && grep { defined } $caught->{parameters}->@{qw(signal exitStatus)};
        next if $has_died && $attempt < $CLEANING_ATTEMPTS;
        warn "pve-oci: root directory not cleaned: $error";
        return;
    }
    return;
}

# What may be left if the engine that removes the files of an image is ended before it is done.
my sub left_files ($root) { return "files of the image may be left in $root->{name}" }

my sub run ($settings, $request, $root, $options, $guard) {
    my $on_reply = $options->{on_reply};
    my $state = { mask => PVE::OCI::JVM::block_signals(), guard => $guard };
    # a caller's handler, or IGNORE, would take the engine's exit status away
    local $SIG{CHLD} = 'DEFAULT';
    my ($existing, $log_lines) = (undef, 0);
    my $listen = sub ($reply) {
        # only the first one counts: it was sent before anything was made
        $existing //= $reply->{existing};
        if ($reply->{log} && $log_lines++ < $MAX_LOG_LINES) {
            warn 'pve-oci: ' . PVE::OCI::Text::one_line($reply->{log}->{message}) . "\n";
        }
        $on_reply->($reply) if $on_reply && ($reply->{progress} || $reply->{config});
    };
    my $reply = eval { run_call($settings, $request, $listen, $state, $options->{session}) };
    my $error = $@;
    if (!defined($reply) && $root) {
        # whatever the engine replied, because an image may have taken it over
        my @cleaning = ($settings, undef, $state, left_files($root), $options->{on_abort});
        if ($root->{before}) {
            $cleaning[1] = PVE::OCI::WorkerRequest::clean($root, $existing);
            clean(@cleaning) if $existing;
            PVE::OCI::RootDirectory::restore($root->{handle}, $root->{before});
        } elsif (!$request->{only_looks}) {
            @cleaning[1, 3] = (
                PVE::OCI::WorkerRequest::abandon($root),
                "the next update or rollback of $root->{name} takes the begun one back",
            );
            clean(@cleaning);
        }
    }
    close($_) for $request->{handles}->@*;
    PVE::OCI::JVM::restore_signals($state->{mask});
    die $error if !defined($reply);
    return $reply;
}

# Dies unless the call is one that io.pve.oci has. The daemon checks its calls against the same
# definition, in varlink.VarlinkServer, and refuses limits below 0 too.
my sub require_call ($method, $parameters) {
    my $interface = PVE::OCI::Interface::load('io.pve.oci');
    my $definition = $interface->{method}->{$method};
    PVE::OCI::Varlink::fail(
        'org.varlink.service.MethodNotFound',
        "the embedded engine has no method io.pve.oci.$method",
        { method => "io.pve.oci.$method" },
    ) if !$definition || !%{ PVE::OCI::WorkerRequest::traits($method) };
    my $field = PVE::OCI::Interface::mismatch($interface, $definition->{input}, $parameters);
    PVE::OCI::EngineFiles::fail_parameter($field) if defined($field);
    my $options = $parameters->{options} // {};
    for my $limit (qw(maximumSize maximumEntries bandwidthLimit)) {
        PVE::OCI::EngineFiles::fail_parameter("options.$limit") if ($options->{$limit} // 0) < 0;
    }
    return;
}

# Why no engine can be started here, as one line; undef when it can.
sub unavailable ($options = {}) {
    return if eval { PVE::OCI::JVM::settings($options); 1 };
    return PVE::OCI::Text::one_line("$@");
}

# Removes from a root directory what a daemon that has died has left there: all but what existed
# before. $parameters are those of the daemon's call, which name the directory. $on_abort is called
# when that is not waited for.
sub clean_root ($parameters, $existing, $on_abort) {
    my $settings = PVE::OCI::JVM::settings();
    my $configured = PVE::OCI::Settings::read_file();
    $settings->{hang} = $configured->{hang};
    $settings->{data} = PVE::OCI::JVM::data_limit($configured->{'zstd-window-log'});
    my $maps = id_maps(1, $parameters, $configured->{'allow-any-id-map'});
    $settings = complete_settings($settings, 1, $maps);
    my $root = PVE::OCI::EngineFiles::open_root(
        $parameters, [], $settings, $maps, { keeps_system => 1, only_looks => 1 },
    );
    PVE::OCI::EngineFiles::give_to_engine($root->{handle}, $maps)
        or die "cannot be given to the engine: $!\n";
    my $request = PVE::OCI::WorkerRequest::clean($root, $existing);
    PVE::OCI::Signals::guard(sub ($guard) {
        my $state = { mask => PVE::OCI::JVM::block_signals(), guard => $guard };
        local $SIG{CHLD} = 'DEFAULT';
        clean($settings, $request, $state, left_files($root), $on_abort);
        PVE::OCI::JVM::restore_signals($state->{mask});
        return 1;
    });
    close($root->{handle});
    return;
}

# As PVE::OCI::Varlink::call for the methods that work on an image or a root directory. Options:
# descriptors, on_reply, on_abort; session, a PVE::OCI::Session; java and home for
# PVE::OCI::JVM::settings.
sub call ($method, $parameters, $call_options = {}) {
    PVE::OCI::Error::forget();
    require_call($method, $parameters);
    my $traits = PVE::OCI::WorkerRequest::traits($method);
    my $settings = eval { PVE::OCI::JVM::settings($call_options) }
        // PVE::OCI::Varlink::fail('EngineUnavailable', "$@");
    my $configured = PVE::OCI::Settings::read_file();
    $settings->{hang} = $configured->{hang};
    $settings->{json_values} = $configured->{'maximum-json-values'};
    $settings->{data} = PVE::OCI::JVM::data_limit($configured->{'zstd-window-log'});
    my $maps = id_maps($traits->{has_root}, $parameters, $configured->{'allow-any-id-map'});
    my @files = ($parameters, $call_options->{descriptors} // []);
    $settings = complete_settings($settings, $traits->{has_root}, $maps);
    my $archive = $traits->{has_archive} ? PVE::OCI::EngineFiles::open_archive(@files) : undef;
    my $root =
        $traits->{has_root}
        ? PVE::OCI::EngineFiles::open_root(@files, $settings, $maps, $traits)
        : undef;
    my %wanted = ($parameters->{options} // {})->%*;
    delete $wanted{record}; # is no limit
    my $limits = PVE::OCI::Settings::engine_options($configured, \%wanted);
    my $request = PVE::OCI::WorkerRequest::job(
        $method, $archive, $root, $maps, $parameters, $limits,
    );
    $request->{only_looks} = $traits->{only_looks};
    my $options = { on_abort => sub ($line) { warn "$line\n" }, $call_options->%* };
    return PVE::OCI::Signals::guard(
        sub ($guard) { run($settings, $request, $root, $options, $guard) },
    );
}

1;
