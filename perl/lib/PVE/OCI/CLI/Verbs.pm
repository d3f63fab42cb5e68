package PVE::OCI::CLI::Verbs;

# The tables of pve-oci: verbs, options, exit codes. Parsing, help, completion and output are all
# made from them, so that a new verb is a new row.

use v5.36;

use PVE::OCI;

our $EXIT_DONE = 0;
our $EXIT_FAILED = 1;
our $EXIT_USAGE = 2;
our $EXIT_UNAVAILABLE = 69; # EX_UNAVAILABLE of sysexits.h
our $EXIT_PERMISSION = 77;  # EX_NOPERM
our $EXIT_SIGNAL = 128;     # plus the signal's number

# What the exit codes mean, for the help.
our @EXIT_CODES = (
    [$EXIT_DONE, 'done'],
    [$EXIT_FAILED, 'the answer is no, or the operation failed'],
    [$EXIT_USAGE, 'wrong usage'],
    [$EXIT_UNAVAILABLE, 'pve-ocid cannot be reached, and there is no embedded engine'],
    [$EXIT_PERMISSION, 'permission denied'],
    [130, 'interrupted by SIGINT, the job is cancelled'],
    [143, 'interrupted by SIGTERM, the job is cancelled'],
);

# Error name => exit code; every other error is $EXIT_FAILED.
our $ERROR_EXIT_CODES = {
    'ConnectFailed' => $EXIT_UNAVAILABLE,
    'ConnectionLost' => $EXIT_UNAVAILABLE,
    'EngineUnavailable' => $EXIT_UNAVAILABLE,
    'InvalidArgument' => $EXIT_USAGE,
    'io.pve.oci.InvalidArgument' => $EXIT_USAGE,
    'io.pve.oci.PermissionDenied' => $EXIT_PERMISSION,
    'org.varlink.service.InvalidParameter' => $EXIT_USAGE,
    'org.varlink.service.PermissionDenied' => $EXIT_PERMISSION,
};

# Errors that are about permission when their errno is EACCES or EPERM. An entry that failed so is
# not: there the image wants more than the container may.
our $ERRNO_DECIDES = { map { $_ => 1 } qw(ConnectFailed OpenFailed io.pve.oci.SystemError) };

# Option => spec of Getopt::Long, name of its value, help, key among the client's options.
our $OPTIONS = {
    'arch' => {
        spec => 's', value => 'ARCH', key => 'architecture',
        help => "architecture, as GOARCH spells it; the host's otherwise",
    },
    'authfile' => {
        spec => 's', value => 'FILE', key => 'authfile',
        help => "logins of registries, as `skopeo login` writes them; skopeo's own otherwise",
    },
    'bwlimit' =>
        { spec => 's', value => 'KIB', key => 'bwlimit', help => 'read at most KIB KiB/s' },
    'command' => {
        spec => '',
        key => 'command',
        help => 'the words after ROOTFS are the command; none: show it',
    },
    'config' => { spec => '', help => 'print only the config object, as JSON' },
    'daemon' => { spec => '', help => 'by pve-ocid only, an error where it cannot be reached' },
    'embedded' => {
        spec => '',
        help => 'by the engine in a process of our own; else only where there is no daemon',
    },
    'engine-only' => {
        spec => '', key => 'engine_only',
        help => "leave pve-container's create flow as it is, replace its engine (PVE::RS::OCI)",
    },
    'gidmap' => {
        spec => 's@', value => 'C:H:N',
        help => 'as --uidmap, for groups; the same as --uidmap if left out',
    },
    'help' => { spec => '', short => 'h', help => 'show this help' },
    'init' => {
        spec => 's', value => 'on|off', key => 'init', values => [qw(on off)],
        help =>
            'whether an init is process 1, which forwards signals and reaps; off by default',
    },
    'json' => { spec => '', short => 'j', help => 'same as --output-format json' },
    'manifest' => {
        spec => 's', value => 'DIGEST', key => 'manifest_digest',
        help => 'the image with this manifest digest',
    },
    'max-bytes' => {
        spec => 's', value => 'N', key => 'max_bytes', help => 'write at most N bytes',
    },
    'max-entries' => {
        spec => 's', value => 'N', key => 'max_entries', help => 'create at most N entries',
    },
    'noheader' => { spec => '', help => 'no titles above columns' },
    'output-format' => {
        spec => 's', value => 'FORMAT', help => 'text, json or json-pretty',
        values => [qw(text json json-pretty)],
    },
    'privileged' => { spec => '', help => 'map no ids, make device nodes' },
    'prometheus' => { spec => '', help => 'in the text format of Prometheus' },
    'quiet' => { spec => '', short => 'q', help => 'no progress, no summary' },
    'raw' => { spec => '', help => 'print the complete configuration blob as it is' },
    'reference' => {
        spec => 's', value => 'NAME', key => 'reference_name',
        help => 'the image with this reference name',
    },
    'refresh' => {
        spec => '', key => 'refresh',
        help => 'integrate again, if the node was integrated and an update undid it',
    },
    'remove' => { spec => '', key => 'remove', help => 'undo it' },
    'socket' => {
        spec => 's', value => 'PATH', key => 'socket',
        help => "socket of pve-ocid ($PVE::OCI::DEFAULT_SOCKET)",
    },
    'status' => {
        spec => '', key => 'status',
        help => 'show whether it is in force; exit code 1 if not',
    },
    'uidmap' => {
        spec => 's@', value => 'C:H:N',
        help => 'N ids from C in the container are those from H on the host;'
            . ' may be repeated (0:100000:65536)',
    },
    'variant' => {
        spec => 's', value => 'VARIANT', key => 'variant',
        help => 'architecture variant, as v8',
    },
    'verbose' =>
        { spec => '', short => 'v', help => 'tell more: job, phases, names of errors' },
    'version' => { spec => '', help => 'show the version' },
};

our @COMMON_OPTIONS = qw(socket output-format json noheader quiet verbose help version);

my @SELECTOR = qw(arch variant reference manifest);
my @MODE = qw(daemon embedded);

# Columns are [title, field, format]; fields of fields are joined by dots. Verbs without rows print
# their fields one a line.
our @VERBS = (
    {
        name => 'detect',
        method => 'DetectArchive',
        summary => 'tell whether ARCHIVE is an OCI image archive',
        arguments => ['ARCHIVE'],
        options => [@MODE],
        run =>
            sub ($arguments, $options) { PVE::OCI::detect_archive($arguments->[0], $options) },
        columns => [['format', 'format'], ['layout version', 'layoutVersion']],
        exit_code => sub ($reply) {
            return ($reply->{format} // '') eq 'ociArchive' ? $EXIT_DONE : $EXIT_FAILED;
        },
    },
    {
        name => 'inspect',
        method => 'InspectImage',
        summary => 'show what images and layers ARCHIVE holds',
        arguments => ['ARCHIVE'],
        options => [@SELECTOR, @MODE, qw(config raw)],
        run =>
            sub ($arguments, $options) { PVE::OCI::inspect_image($arguments->[0], $options) },
        columns => [
            ['manifest', 'manifest.digest', 'digest'],
            ['os', 'platform.os'],
            ['architecture', 'platform.architecture'],
            ['variant', 'platform.variant'],
            ['entrypoint', 'config.Entrypoint', 'json'],
            ['cmd', 'config.Cmd', 'json'],
            ['env', 'config.Env', 'json'],
            ['user', 'config.User'],
            ['working directory', 'config.WorkingDir'],
            ['stop signal', 'config.StopSignal'],
            ['volumes', 'config.Volumes', 'keys'],
            ['ports', 'config.ExposedPorts', 'keys'],
            ['healthcheck', 'config.Healthcheck.Test', 'json'],
            ['labels', 'config.Labels', 'labels'],
            ['size extracted', 'uncompressedSize', 'size'],
        ],
        lists => [
            [
                'layers',
                ['layer', 'descriptor.digest', 'digest'],
                ['size', 'descriptor.size', 'size'],
                ['compression', 'compression'],
                ['extracted', 'uncompressedSize', 'size'],
            ],
            [
                'images',
                ['image', 'manifest.digest', 'digest'],
                ['os', 'platform.os'],
                ['architecture', 'platform.architecture'],
                ['variant', 'platform.variant'],
                ['reference', 'referenceName'],
                ['layers', 'layersCount'],
                ['size', 'layersSize', 'size'],
            ],
        ],
    },
    {
        name => 'verify',
        method => 'VerifyImage',
        summary => 'check digest and size of every blob of an image',
        arguments => ['ARCHIVE'],
        options => [@SELECTOR, @MODE],
        progress => 1,
        run => sub ($arguments, $options) { PVE::OCI::verify_image($arguments->[0], $options) },
        columns => [],
        lists => [
            [
                'verified',
                ['verified', 'digest', 'digest'],
                ['size', 'size', 'size'],
                ['media type', 'mediaType'],
            ],
        ],
    },
    {
        name => 'pull',
        summary => 'fetch an image from a registry into the archive FILE, with skopeo',
        arguments => ['REFERENCE', '[FILE]'],
        options => [qw(arch variant authfile), @MODE],
        progress => 1,
        # loaded when needed: commands start faster without
        run => sub ($arguments, $options) {
            require PVE::OCI::Registry;
            my ($reference, $file) = $arguments->@*;
            $file //= PVE::OCI::Registry::default_file($reference);
            return PVE::OCI::Registry::pull($reference, $file, $options);
        },
        columns => [
            ['file', 'file'], ['reference', 'reference'], ['digest', 'digest', 'digest'],
            ['size', 'size', 'size'],
        ],
    },
    {
        name => 'extract',
        method => 'ParseAndExtractImage',
        summary => 'extract an image into the empty directory ROOTFS',
        arguments => ['ARCHIVE', 'ROOTFS'],
        options => [
            @SELECTOR, @MODE, qw(uidmap gidmap privileged max-bytes max-entries bwlimit),
        ],
        progress => 1,
        run => sub ($arguments, $options) { PVE::OCI::extract_image($arguments->@*, $options) },
        columns => [
            ['manifest', 'result.manifestDigest', 'digest'],
            ['config', 'result.configDigest', 'digest'],
            ['entries', 'result.entriesWritten'],
            ['written', 'result.bytesWritten', 'size'],
            ['whiteouts', 'result.whiteoutsApplied'],
            ['warnings', 'result.warningsCount'],
        ],
    },
    {
        name => 'jobs',
        method => 'ListJobs',
        summary => 'list the jobs at work',
        run => sub ($arguments, $options) { return { jobs => PVE::OCI::list_jobs($options) } },
        columns => [],
        lists => [
            [
                'jobs',
                ['job', 'id'],
                ['method', 'method'],
                ['pid', 'peerPid'],
                ['started', 'startedUSec', 'time'],
                ['phase', 'progress.phase'],
                ['read', 'progress.bytesRead', 'size'],
                ['of', 'progress.bytesTotal', 'size'],
                ['archive', 'archivePath'],
                ['rootfs', 'rootDirectory'],
            ],
        ],
    },
    {
        name => 'cancel',
        method => 'CancelJob',
        summary => 'cancel jobs',
        arguments => ['ID...'],
        run => sub ($arguments, $options) {
            PVE::OCI::cancel_job($_, $options) for $arguments->@*;
            return {};
        },
        columns => [],
    },
    {
        name => 'info',
        method => 'org.varlink.service.GetInfo',
        summary => 'show what daemon is running',
        run => sub ($arguments, $options) { PVE::OCI::get_info($options) },
        columns => [
            ['vendor', 'vendor'], ['product', 'product'], ['version', 'version'],
            ['url', 'url'],
            ['interfaces', 'interfaces', 'list'],
        ],
    },
    {
        name => 'metrics',
        method => 'GetMetrics',
        summary => 'show the counters of the daemon',
        options => ['prometheus'],
        run =>
            sub ($arguments, $options) { return { metrics => PVE::OCI::get_metrics($options) } },
        columns => [],
        lists => [
            [
                'metrics',
                ['metric', 'name'],
                ['labels', 'labels', 'labels'],
                ['value', 'value'],
                ['unit', 'unit'],
                ['kind', 'kind'],
            ],
        ],
    },
    {
        name => 'env',
        summary => "show or change a stopped container's environment and command: ROOTFS"
            . " [list | set NAME=VALUE... | unset NAME...], or --command ROOTFS -- ARGUMENT...,"
            . ' or --init on|off ROOTFS',
        arguments => ['ROOTFS', '[WORD...]'],
        options => [qw(command init)],
        # loaded when needed: commands start faster without
        run => sub (@arguments) {
            require PVE::OCI::CLI::EnvCommand;
            PVE::OCI::CLI::EnvCommand::run(@arguments);
        },
        text => sub (@arguments) {
            require PVE::OCI::CLI::EnvCommand;
            PVE::OCI::CLI::EnvCommand::text(@arguments);
        },
    },
    {
        name => 'integrate',
        summary =>
            'make pve-container of this node create containers from OCI images by pve-oci',
        options => [qw(status remove engine-only refresh)],
        run => sub (@arguments) {
            require PVE::OCI::CLI::Integrate;
            PVE::OCI::CLI::Integrate::run(@arguments);
        },
        text => sub (@arguments) {
            require PVE::OCI::CLI::Integrate;
            PVE::OCI::CLI::Integrate::text(@arguments);
        },
        exit_code => sub ($reply) {
            return $reply->{integrated} || !$reply->{asked} ? $EXIT_DONE : $EXIT_FAILED;
        },
    },
);

sub find_verb ($name) {
    my ($verb) = grep { $_->{name} eq $name } @VERBS;
    return $verb;
}

sub options_of ($verb) {
    return (($verb->{options} // [])->@*, @COMMON_OPTIONS);
}

1;
