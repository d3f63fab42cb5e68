package PVE::OCI::CLI::Verbs;

# The tables of pve-oci: verbs, options, exit codes. Parsing, help, completion and output are all
# made from them, so that a new verb is a new row.

use v5.36;

use PVE::OCI;
use PVE::OCI::CLI::Options;

our $EXIT_DONE = 0;
our $EXIT_FAILED = 1;
our $EXIT_USAGE = 2;
our $EXIT_UNAVAILABLE = 69; # EX_UNAVAILABLE of sysexits.h
our $EXIT_PERMISSION = 77;  # EX_NOPERM
our $EXIT_CONFIG = 78;      # EX_CONFIG
our $EXIT_SIGNAL = 128;     # plus the signal's number

# What the exit codes mean, for the help.
our @EXIT_CODES = (
    [$EXIT_DONE, 'done'],
    [$EXIT_FAILED, 'the operation failed, or the answer is no'],
    [$EXIT_USAGE, 'wrong usage'],
    [
        $EXIT_UNAVAILABLE,
        'the daemon cannot be reached and the embedded engine cannot be used,'
            . ' or the connection to it was lost'
    ],
    [$EXIT_PERMISSION, 'permission denied'],
    [$EXIT_CONFIG, '/etc/pve-ocid.conf has a wrong line'],
    [129, 'ended by SIGHUP; the job is cancelled'],
    [130, 'ended by SIGINT (Ctrl-C); the job is cancelled'],
    [143, 'ended by SIGTERM; the job is cancelled'],
);

# Error name => exit code; every other error is $EXIT_FAILED.
our $ERROR_EXIT_CODES = {
    'ConnectFailed' => $EXIT_UNAVAILABLE,
    'ConnectionLost' => $EXIT_UNAVAILABLE,
    'EngineUnavailable' => $EXIT_UNAVAILABLE,
    'InvalidArgument' => $EXIT_USAGE,
    'InvalidSettings' => $EXIT_CONFIG,
    'io.pve.oci.InvalidArgument' => $EXIT_USAGE,
    'io.pve.oci.PermissionDenied' => $EXIT_PERMISSION,
    'org.varlink.service.InvalidParameter' => $EXIT_USAGE,
    'org.varlink.service.PermissionDenied' => $EXIT_PERMISSION,
};

# Errors that are about permission when their errno is EACCES or EPERM. An entry that failed so is
# not: there the image wants more than the container may.
our $ERRNO_DECIDES = { map { $_ => 1 } qw(ConnectFailed OpenFailed io.pve.oci.SystemError) };

my @SELECTOR = qw(arch variant reference manifest);
my @MODE = qw(daemon embedded);
my @MAPS = qw(uidmap gidmap privileged);

# The module that works on containers. Loaded only when needed: other commands start faster without
# it.
my sub of_update() {
    require PVE::OCI::CLI::UpdateCommand;
    return 'PVE::OCI::CLI::UpdateCommand';
}

# Columns are [title, field, format]; fields of fields are joined by dots. Verbs without rows print
# their fields one a line.
our @VERBS = (
    {
        name => 'detect',
        method => 'DetectArchive',
        summary => 'tell whether ARCHIVE holds an image that can be extracted',
        arguments => ['ARCHIVE'],
        options => [@MODE],
        run =>
            sub ($arguments, $options) { PVE::OCI::detect_archive($arguments->[0], $options) },
        columns => [['format', 'format'], ['layout version', 'layoutVersion']],
        # 0 for every archive that extract accepts
        exit_code => sub ($reply) {
            return ($reply->{format} // '') =~ /\A(?:oci|docker)Archive\z/
                ? $EXIT_DONE
                : $EXIT_FAILED;
        },
    },
    {
        name => 'inspect',
        method => 'InspectImage',
        summary => 'show the images, the layers and the configuration in ARCHIVE',
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
        summary => 'check the digest and size of every blob of an image',
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
            @SELECTOR, @MODE, qw(uidmap gidmap privileged max-bytes max-entries bwlimit record),
        ],
        progress => 1,
        makes_files => 1,
        run => sub ($arguments, $options) {
            my $reply = PVE::OCI::extract_image($arguments->@*, $options);
            return $reply if !$options->{record};
            require PVE::OCI::Origin;
            PVE::OCI::Origin::note($arguments->[1], $reply);
            return $reply;
        },
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
        name => 'diff',
        method => 'CompareRootDirectory',
        summary => 'show what was changed in ROOTFS since its image was extracted',
        arguments => ['ROOTFS'],
        forms => [
            'pve-oci diff ROOTFS', 'pve-oci diff VMID',
            'pve-oci diff --checksum ARCHIVE ROOTFS',
        ],
        options =>
            [@SELECTOR, @MODE, @MAPS, qw(max-bytes max-entries bwlimit keep all checksum)],
        progress => 1,
        run => sub (@arguments) { of_update()->can('diff')->(@arguments) },
        text => sub (@arguments) { of_update()->can('diff_text')->(@arguments) },
        exit_code => sub ($reply) {
            return of_update()->can('is_changed')->($reply) ? $EXIT_FAILED : $EXIT_DONE;
        },
    },
    {
        name => 'update',
        method => 'StageUpdate',
        summary => 'put another image into a stopped container; volumes and settings stay',
        arguments => ['ROOTFS', '[ARCHIVE]'],
        forms => [
            'pve-oci update ROOTFS ARCHIVE',
            'pve-oci update VMID ARCHIVE',
            'pve-oci update ROOTFS --pull [REFERENCE]',
            'pve-oci update --forget ROOTFS',
        ],
        options => [
            @SELECTOR, @MODE, @MAPS,
            qw(max-bytes max-entries bwlimit keep discard-changes base),
            qw(dry-run pull authfile chown forget snapshot),
        ],
        progress => 1,
        run => sub (@arguments) { of_update()->can('update')->(@arguments) },
        text => sub (@arguments) { of_update()->can('text')->(@arguments) },
    },
    {
        name => 'rollback',
        method => 'ApplyUpdate',
        summary => 'bring back what was there before the last update; volumes stay as they are',
        arguments => ['ROOTFS'],
        forms => ['pve-oci rollback ROOTFS', 'pve-oci rollback VMID'],
        options => [@MODE, @MAPS, qw(keep discard-changes chown)],
        run => sub (@arguments) { of_update()->can('rollback')->(@arguments) },
        text => sub (@arguments) { of_update()->can('text')->(@arguments) },
    },
    {
        name => 'outdated',
        summary => 'show for which containers the registry has a newer image',
        arguments => ['[ROOTFS...]'],
        forms => ['pve-oci outdated ROOTFS...', 'pve-oci outdated [VMID...]'],
        options => [qw(authfile)],
        run => sub (@arguments) { of_update()->can('outdated')->(@arguments) },
        columns => [],
        lists => [
            [
                'images',
                ['container', 'target'],
                ['state', 'state'],
                ['image', 'reference'],
                ['recorded', 'recorded', 'digest'],
                ['current', 'current', 'digest'],
            ],
        ],
    },
    {
        name => 'jobs',
        method => 'ListJobs',
        summary => 'list running and queued jobs',
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
        summary => 'cancel jobs, by the numbers that jobs shows',
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
        summary => 'show which daemon is running',
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
        summary => 'show or change the environment or the command of a stopped container',
        arguments => ['ROOTFS', '[WORD...]'],
        forms => [
            'pve-oci env ROOTFS [list]',
            'pve-oci env ROOTFS set NAME=VALUE...',
            'pve-oci env ROOTFS unset NAME...',
            'pve-oci env --command ROOTFS [-- WORD...]',
            'pve-oci env --init on|off ROOTFS',
        ],
        words => [qw(list set unset)],
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
    {
        name => 'help',
        summary => 'show the options of VERB, or all verbs',
        arguments => ['[VERB]'],
        print => 'help_text',
    },
    {
        name => 'completion',
        summary => 'print the completion for bash, to be sourced',
        print => 'completion_text',
    },
);

# The verb of this name, or undef.
sub find_verb ($name) {
    my ($verb) = grep { $_->{name} eq $name } @VERBS;
    return $verb;
}

# Verbs that only print a text call nothing and have nothing to format. print names the function of
# PVE::OCI::CLI::Help that makes the text.
sub common_options_of ($verb) {
    return $verb->{print} ? qw(help) : @PVE::OCI::CLI::Options::COMMON;
}

sub options_of ($verb) {
    return (($verb->{options} // [])->@*, common_options_of($verb));
}

1;
