package PVE::OCI;

# OCI image archives for Perl code: detects, inspects, verifies and extracts them by calling
# pve-ocid, or where there is none by the same engine in a child of this process. Loads no PVE
# module, connects to nothing before a function is called, safe under taint mode.
#
# What the functions return comes out of an image, and so is untrusted, unless their documentation
# says otherwise.

use v5.36;

use PVE::OCI::Error;
use PVE::OCI::IdMap;
use PVE::OCI::Text;
use PVE::OCI::Varlink;

use Exporter qw(import);
our @EXPORT_OK = qw(
    cancel_job
    check_config
    detect_archive
    extract_image
    get_info
    get_metrics
    inspect_image
    list_jobs
    parse_and_extract_image
    verify_image
);

our $VERSION = '0.1.0';

our $DEFAULT_SOCKET = '/run/pve-ocid/io.pve.oci';

my $DAEMON_PROGRAM = '/usr/sbin/pve-ocid';

# PVE's map of an unprivileged container without entries of its own, as PVE::LXC::parse_id_maps
# returns it.
our $DEFAULT_ID_MAP = [['u', '0', '100000', '65536'], ['g', '0', '100000', '65536']];

# The members of an image's config that a container's configuration is made from.
my @CONTAINER_KEYS = qw(Cmd Entrypoint Env StopSignal User Volumes WorkingDir);

# Those whose values are written into lines of a container's configuration.
my $IS_CONFIGURED = { map { $_ => 1 } qw(StopSignal User Volumes WorkingDir) };

# Client option => field of the ImageSelector.
my $SELECTOR_FIELDS = {
    architecture => 'architecture',
    manifest_digest => 'manifestDigest',
    reference_name => 'referenceName',
    variant => 'variant',
};

# The fields that take the paths of the objects that a call can name by path or by descriptor.
my $PATH_FIELDS = { archive => 'archivePath', rootDirectory => 'rootDirectory' };

# Obsolete: the errors themselves have the same fields. Stays for one release.
sub last_error() {
    my $error = PVE::OCI::Error::last() // return;
    return { $error->%* };
}

my sub invalid ($message) { PVE::OCI::Varlink::fail('InvalidArgument', $message) }

my sub invalid_reply ($what) {
    PVE::OCI::Varlink::fail('InvalidReply', "connection to pve-ocid lost: $what");
}

my sub call ($method, $parameters, $options, $call_options = {}) {
    my $socket = $options->{socket} // $ENV{PVE_OCI_SOCKET} // $DEFAULT_SOCKET;
    $method = "io.pve.oci.$method" if $method !~ /\./;
    return PVE::OCI::Varlink::call(
        $socket, $method, $parameters, { $call_options->%*, session => $options->{session} },
    );
}

my sub call_embedded ($method, $parameters, $options, $call_options) {
    require PVE::OCI::Embedded; # not above: most callers never need it
    my $more =
        { map { $_ => $options->{$_} } grep { defined($options->{$_}) } qw(home java session) };
    return PVE::OCI::Embedded::call($method, $parameters, { $call_options->%*, $more->%* });
}

# Whether a daemon should be there: packages and administrators who name a socket say so.
my sub is_daemon_expected ($socket) {
    return defined($ENV{PVE_OCI_SOCKET}) || -e $socket || -e $DAEMON_PROGRAM;
}

# Called when the daemon cannot be reached. Uses the embedded engine if that is allowed and there is
# one. Where a daemon is expected the fallback is announced, so that nobody believes the daemon was
# used.
my sub call_without_daemon ($error, $method, $parameters, $options, $call_options) {
    my $give_up = sub ($reason) {
        PVE::OCI::Error->throw(
            $error->{name}, "$error->{message}; $reason",
            $error->{parameters}
        );
    };
    require PVE::OCI::Settings; # not above: most callers never need it
    my $settings = PVE::OCI::Settings::read_file();
    my $is_expected = is_daemon_expected($error->{parameters}->{path});
    my $is_daemon_only = $settings->{'daemon-only'} // ($options->{daemon_only} && $is_expected);
    $give_up->('the embedded engine is not used instead, see daemon-only in pve-ocid.conf(5)')
        if $is_daemon_only;
    require PVE::OCI::Embedded;
    my $reason = PVE::OCI::Embedded::unavailable($options);
    $give_up->($reason) if defined($reason);
    if ($is_expected) {
        my $line = "$error->{message}; using the embedded engine instead";
        $options->{on_fallback} ? $options->{on_fallback}->($line) : warn "$line\n";
    }
    return call_embedded($method, $parameters, $options, $call_options);
}

# Calls one of the methods that work on an image. The daemon reads images for root only, so it is
# called if the caller is root in the initial user namespace and the daemon can be reached;
# otherwise the embedded engine is used. A caller who names a socket wants the daemon.
my sub call_for_image ($method, $parameters, $options, $call_options) {
    my $mode = $options->{mode} // (defined($options->{socket}) ? 'daemon' : '');
    invalid("mode is neither 'daemon' nor 'embedded': '$mode'")
        if $mode !~ /\A(?:daemon|embedded)?\z/;
    return call($method, $parameters, $options, $call_options) if $mode eq 'daemon';
    return call_embedded($method, $parameters, $options, $call_options)
        if $mode eq 'embedded' || $> != 0 || !PVE::OCI::IdMap::is_initial_namespace();
    my $reply = eval { call($method, $parameters, $options, $call_options) };
    return $reply if defined($reply);
    my $error = $@;
    my $caught = PVE::OCI::Error::caught($error);
    die $error if !$caught || $caught->{name} ne 'ConnectFailed';
    return call_without_daemon($caught, $method, $parameters, $options, $call_options);
}

# A whole number, as JSON number. Digits only: PVE hands numbers around as strings.
my sub whole_number ($value, $what) {
    my ($digits) = ($value // '') =~ /\A([0-9]{1,15})\z/
        or invalid("$what is not a whole number: '" . ($value // '') . "'");
    return $digits + 0;
}

# The bytes of a path as characters for JSON, undef when they are not UTF-8. A string that Perl
# flags as characters names the file of its UTF-8 bytes, as in Perl's own open.
my sub path_characters ($path) {
    return $path if utf8::is_utf8($path);
    my $characters = $path;
    return utf8::decode($characters) ? $characters : undef;
}

my sub absolute_path ($path) {
    return $path if $path =~ m{\A/};
    require Cwd; # not above: most paths are absolute
    return Cwd::getcwd() . "/$path";
}

# Opens a file or directory for reading; a FIFO does not block.
my sub opened ($path, $is_directory) {
    require Fcntl; # not above: root's calls name paths
    my $flag = $is_directory ? Fcntl::O_DIRECTORY() : Fcntl::O_NONBLOCK();
    sysopen(my $handle, $path, Fcntl::O_RDONLY() | $flag)
        or PVE::OCI::Varlink::fail('OpenFailed', "cannot open '$path': $!", { errno => $! + 0 });
    return $handle;
}

# Puts a file or directory into the parameters, by path or by descriptor. $opened keeps open what
# was opened here until the call is done.
my sub add_object ($parameters, $name, $object, $call_options, $opened, $by_descriptor = 0) {
    invalid("no $name given") if !defined($object) || $object eq '';
    my $fd;
    if (ref($object) || ref(\$object) eq 'GLOB') {
        $fd = eval { fileno($object) } // -1; # of file and directory handles
        invalid("$name is not an open handle with a file descriptor") if $fd < 0;
    } elsif ($object =~ /\A([0-9]+)\z/) {
        $fd = $1 + 0;
    } else {
        invalid("path of $name holds a NUL") if $object =~ /\0/;
        my $path = absolute_path($object);
        my $characters = path_characters($path);
        if (defined($characters) && !$by_descriptor) {
            $parameters->{ $PATH_FIELDS->{$name} } = $characters;
            return;
        }
        my $handle = opened($path, $name eq 'rootDirectory');
        push $opened->@*, $handle;
        $fd = fileno($handle);
    }
    push $call_options->{descriptors}->@*, $fd;
    $parameters->{"${name}FileDescriptor"} = scalar($call_options->{descriptors}->@*) - 1;
    return;
}

# Only root may name paths to the daemon; anyone else opens the archive with his own rights.
my sub add_archive ($parameters, $archive, $call_options, $opened) {
    add_object($parameters, 'archive', $archive, $call_options, $opened, $> != 0);
    return;
}

my sub add_selector ($parameters, $options) {
    for my $option (sort keys $SELECTOR_FIELDS->%*) {
        my $value = $options->{$option} // next;
        $parameters->{selector}->{ $SELECTOR_FIELDS->{$option} } = "$value";
    }
    return;
}

# PVE's list of [type, inside, outside, count] to the two lists of ranges of the interface.
my sub id_map_ranges ($id_map) {
    invalid('id_map is not a list') if ref($id_map) ne 'ARRAY';
    my $ranges = { u => [], g => [] };
    for my $entry ($id_map->@*) {
        invalid('an entry of id_map is not [type, inside, outside, count]')
            if ref($entry) ne 'ARRAY' || $entry->@* != 4;
        my ($type, @numbers) = $entry->@*;
        invalid("unknown type '$type' in id_map") if !defined($ranges->{$type});
        my ($inside, $outside, $count) = map { whole_number($_, 'id in id_map') } @numbers;
        push $ranges->{$type}->@*, { inside => $inside, outside => $outside, count => $count };
    }
    return ($ranges->{u}, $ranges->{g});
}

my sub extract_options ($options) {
    my $result = {};
    $result->{maximumSize} = whole_number($options->{max_bytes}, 'max_bytes')
        if defined($options->{max_bytes});
    $result->{maximumEntries} = whole_number($options->{max_entries}, 'max_entries')
        if defined($options->{max_entries});
    # PVE's limits are KiB/s and 0 means none, the interface wants bytes a second
    my $bwlimit = whole_number($options->{bwlimit} // 0, 'bwlimit');
    $result->{bandwidthLimit} = $bwlimit * 1024 if $bwlimit > 0;
    $result->{record} = \1 if $options->{record};
    return $result;
}

# Hands the replies before the last to the caller's functions.
my sub reply_handler ($options) {
    return sub ($reply) {
        my ($job_id, $progress, $config) = $reply->@{qw(jobId progress config)};
        $options->{on_job}->($job_id)
            if defined($job_id) && !ref($job_id) && $options->{on_job};
        if (defined($config)) {
            invalid_reply('the image configuration is not an object') if ref($config) ne 'HASH';
            $options->{on_config}->($config) if $options->{on_config};
        }
        return if !defined($progress);
        invalid_reply('progress is not an object') if ref($progress) ne 'HASH';
        $options->{progress}->($progress) if $options->{progress};
        return;
    };
}

# Tells that an aborted call was not waited for to its end.
my sub on_abort ($options) {
    return $options->{on_abort} // sub ($line) { warn "$line\n" };
}

# The warnings of an extraction, one line each, in the words of the daemon.
my sub report_warnings ($result, $on_warning) {
    my $warnings = $result->{warnings} // [];
    invalid_reply('warnings are not a list') if ref($warnings) ne 'ARRAY';
    for my $warning ($warnings->@*) {
        invalid_reply('a warning is not an object') if ref($warning) ne 'HASH';
        my ($path, $what, $detail) = map { $_ // '?' } $warning->@{qw(entryPath what detail)};
        $on_warning->(PVE::OCI::Text::one_line("entry $path: $what: $detail"), $warning);
    }
    my $more = ($result->{warningsCount} // 0) - $warnings->@*;
    $on_warning->("$more more warnings of this kind", undef) if $more > 0;
    return;
}

my sub malformed_config ($what) {
    PVE::OCI::Varlink::fail('io.pve.oci.MalformedImage', "image configuration: $what");
}

sub check_config ($config) {
    malformed_config('it is not an object') if ref($config) ne 'HASH';
    for my $key (@CONTAINER_KEYS) {
        my $value = $config->{$key} // next;
        my @strings =
              ref($value) eq 'ARRAY' ? $value->@*
            : ref($value) eq 'HASH' ? keys $value->%*
            : ($value);
        for my $string (@strings) {
            malformed_config("$key holds a value that is no string")
                if !defined($string) || ref($string);
            # these values are written to /.pve.env, where NUL ends a record and everything else is
            # allowed
            malformed_config("$key holds a NUL") if $string =~ /\0/;
            # a line break would add lines to the container's configuration; tab is allowed
            malformed_config("$key holds a control character")
                if $IS_CONFIGURED->{$key} && $string =~ /[\x00-\x08\x0a-\x1f\x7f-\x9f]/;
        }
    }
    return;
}

sub detect_archive ($archive, $options = {}) {
    my ($parameters, $call_options, $opened) = ({}, {}, []);
    add_archive($parameters, $archive, $call_options, $opened);
    return call_for_image('DetectArchive', $parameters, $options, $call_options);
}

sub inspect_image ($archive, $options = {}) {
    my ($parameters, $call_options, $opened) = ({}, {}, []);
    add_archive($parameters, $archive, $call_options, $opened);
    add_selector($parameters, $options);
    my $reply = call_for_image('InspectImage', $parameters, $options, $call_options);
    invalid_reply('no image configuration in the reply') if ref($reply->{config}) ne 'HASH';
    return $reply;
}

sub verify_image ($archive, $options = {}) {
    my ($parameters, $opened) = ({}, []);
    my $call_options =
        { more => 1, on_reply => reply_handler($options), on_abort => on_abort($options) };
    add_archive($parameters, $archive, $call_options, $opened);
    add_selector($parameters, $options);
    my $reply = call_for_image('VerifyImage', $parameters, $options, $call_options);
    invalid_reply('no list of verified blobs in the reply') if ref($reply->{verified}) ne 'ARRAY';
    return $reply;
}

# A call that works on a root directory, with an archive where $archive is defined. $own are the
# parameters that only this method has. Also for PVE::OCI::RootUpdate.
sub call_for_root ($method, $archive, $rootdir, $own, $options) {
    my ($parameters, $opened) = ({ $own->%* }, []);
    my $call_options =
        { more => 1, on_reply => reply_handler($options), on_abort => on_abort($options) };
    my ($uid_map, $gid_map) = id_map_ranges($options->{id_map} // $DEFAULT_ID_MAP);
    $parameters->{uidMap} = $uid_map;
    $parameters->{gidMap} = $gid_map;
    if (defined($archive)) {
        $parameters->{options} = extract_options($options);
        add_selector($parameters, $options);
        add_archive($parameters, $archive, $call_options, $opened);
    }
    add_object($parameters, 'rootDirectory', $rootdir, $call_options, $opened);
    my $call = sub () { call_for_image($method, $parameters, $options, $call_options) };
    my $cleans_up = $method eq 'ParseAndExtractImage' && defined($parameters->{rootDirectory});
    require PVE::OCI::Leftovers; # not above: most callers never need it
    my $reply = $cleans_up
        ? PVE::OCI::Leftovers::clean_up_after(
            $rootdir, $parameters, $call_options->{on_abort},
            $call
        )
        : $call->();
    return $reply if !defined($archive);
    invalid_reply('no result in the last reply') if ref($reply->{result}) ne 'HASH';
    invalid_reply('no image configuration in the last reply') if ref($reply->{config}) ne 'HASH';
    report_warnings($reply->{result}, $options->{on_warning}) if $options->{on_warning};
    return $reply;
}

sub extract_image ($archive, $rootdir, $options = {}) {
    return call_for_root('ParseAndExtractImage', $archive, $rootdir, {}, $options);
}

sub parse_and_extract_image ($archive, $rootdir, $arch = undef, $options = {}) {
    my $on_config = $options->{on_config};
    my $check = sub ($config) {
        check_config($config);
        $on_config->($config) if $on_config;
    };
    my $reply = extract_image(
        $archive, $rootdir,
        { ($options // {})->%*, architecture => $arch, on_config => $check },
    );
    check_config($reply->{config}); # a worker that was taken over could send another one
    return wantarray ? $reply->@{qw(config result)} : $reply->{config};
}

sub list_jobs ($options = {}) {
    my $jobs = call('ListJobs', {}, $options)->{jobs};
    invalid_reply('no list of jobs in the reply') if ref($jobs) ne 'ARRAY';
    invalid_reply('a job is not an object') if grep { ref($_) ne 'HASH' } $jobs->@*;
    return $jobs;
}

sub cancel_job ($id, $options = {}) {
    call('CancelJob', { id => "$id" }, $options);
    return;
}

sub get_metrics ($options = {}) {
    my $metrics = call('GetMetrics', {}, $options)->{metrics};
    invalid_reply('no list of metrics in the reply') if ref($metrics) ne 'ARRAY';
    invalid_reply('a metric is not an object') if grep { ref($_) ne 'HASH' } $metrics->@*;
    return $metrics;
}

sub get_info ($options = {}) {
    return call('org.varlink.service.GetInfo', {}, $options);
}

1;
