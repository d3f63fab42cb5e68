package PVE::OCI::CLI::Options;

# The table of pve-oci's options, and what reads them. PVE::OCI::CLI::Verbs says which verb has
# which.

use v5.36;

use PVE::OCI;

# Option => spec as Getopt::Long has them, name of its value, help, key among the client's options.
# type is that of a number: bytes (K, M, G, T may follow), rate (bytes if one of them follows, else
# KiB), count. values are all that there may be, usual those that completion offers.
our $TABLE = {
    'all' => {
        spec => '',
        help => 'also show the changes that are expected: kept paths, files of the host',
    },
    'arch' => {
        spec => 's', value => 'ARCH', key => 'architecture',
        help => 'take the image for this architecture (amd64, arm64, ...);'
            . " default: this machine's",
        usual => [qw(386 amd64 arm arm64 ppc64le riscv64 s390x)],
    },
    'authfile' => {
        spec => 's', value => 'FILE', key => 'authfile',
        help =>
            "read logins of registries from FILE, written by skopeo login; default: skopeo's",
        is_file => 1,
    },
    'base' => {
        spec => 's', value => 'ARCHIVE', key => 'base', is_file => 1,
        help => 'the archive of the image in ROOTFS, where there is no record of what it made',
    },
    'bwlimit' => {
        spec => 's', value => 'N', key => 'bwlimit', type => 'rate',
        help => 'read at most N KiB a second; with K, M, G or T after N: bytes a second',
    },
    'checksum' => {
        spec => 's', value => 'ARCHIVE', key => 'checksum', is_file => 1,
        help => 'compare contents too, with the image in ARCHIVE instead of the record',
    },
    'chown' => {
        spec => 's@', value => '[u:|g:]OLD:NEW', key => 'chown',
        help =>
            'give what user and group OLD have in kept paths and volumes to NEW; may be repeated',
    },
    'command' => {
        spec => '', key => 'command',
        help => 'the words after ROOTFS become the command; without words, show it',
    },
    'config' => { spec => '', help => 'print only the config object, as JSON' },
    'daemon' => { spec => '', help => 'use pve-ocid only; fail if it cannot be reached' },
    'discard-changes' => {
        spec => '', key => 'discard_changes',
        help => 'go on although files were changed by hand; they go to the earlier tree',
    },
    'dry-run' => {
        spec => '', key => 'dry_run', help => 'say what would be done, change nothing',
    },
    'embedded' => {
        spec => '', help => 'work in a child process of pve-oci instead of asking pve-ocid',
    },
    'engine-only' => {
        spec => '', key => 'engine_only',
        help => "leave pve-container's create flow as it is, replace its engine (PVE::RS::OCI)",
    },
    'forget' => {
        spec => '', key => 'forget',
        help => 'remove the earlier tree; there is no way back then',
    },
    'gidmap' => {
        spec => 's@', value => 'C:H:N',
        help => 'the same for group IDs; default: as --uidmap',
    },
    'help' => { spec => '', short => 'h', help => 'show this help' },
    'init' => {
        spec => 's', value => 'on|off', key => 'init', values => [qw(on off)],
        help => 'run an init as process 1, which forwards signals and reaps; default: off',
    },
    'json' => { spec => '', short => 'j', help => 'same as --output-format json' },
    'keep' => {
        spec => 's@', value => 'PATH', key => 'keep',
        help => 'PATH in the container stays with all that is below it; may be repeated',
    },
    'manifest' => {
        spec => 's', value => 'DIGEST', key => 'manifest_digest',
        help => 'take the image with this manifest digest',
    },
    'max-bytes' => {
        spec => 's', value => 'N', key => 'max_bytes', type => 'bytes',
        help => 'write at most N bytes; K, M, G or T may follow N',
    },
    'max-entries' => {
        spec => 's', value => 'N', key => 'max_entries', type => 'count',
        help => 'create at most N files, directories and links',
    },
    'noheader' => { spec => '', help => 'print no titles above columns' },
    'output-format' => {
        spec => 's', value => 'FORMAT',
        help => 'format of the output: text, json or json-pretty',
        values => [qw(text json json-pretty)],
    },
    'privileged' => {
        spec => '',
        help => 'ROOTFS is of a privileged container: map no IDs, create device nodes',
    },
    'prometheus' => { spec => '', help => 'print the text format of Prometheus' },
    'pull' => {
        spec => '', key => 'pull',
        help => 'fetch the image from the registry that the old one came from',
    },
    'quiet' => { spec => '', short => 'q', help => 'print no progress and no summary' },
    'raw' => { spec => '', help => 'print the whole image configuration as it is stored' },
    'record' => {
        spec => '', key => 'record',
        help => 'write a record of what the image made, for diff and update',
    },
    'reference' => {
        spec => 's', value => 'NAME', key => 'reference_name',
        help => 'take the image with this reference name',
    },
    'refresh' => {
        spec => '', key => 'refresh',
        help => 'integrate again, if the node was integrated and an update undid it',
    },
    'remove' => { spec => '', key => 'remove', help => 'undo it' },
    'snapshot' => {
        spec => 's', value => 'NAME', key => 'snapshot',
        help => 'make a snapshot of the container before; with a VMID only',
    },
    'socket' => {
        spec => 's', value => 'PATH', key => 'socket', is_file => 1,
        help => 'socket of pve-ocid, which is then used in any case;'
            . " default: $PVE::OCI::DEFAULT_SOCKET",
    },
    'status' => {
        spec => '', key => 'status',
        help => 'show whether it is in force; exit code 1 if not',
    },
    'uidmap' => {
        spec => 's@', value => 'C:H:N',
        help => 'map N user IDs, from C on in the container, from H on the host;'
            . ' may be repeated; default: 0:100000:65536 to extract, else that of the owner'
            . ' of ROOTFS; not with a VMID',
    },
    'variant' => {
        spec => 's', value => 'VARIANT', key => 'variant',
        help => 'take the image for this variant of the architecture, such as v8',
        usual => [qw(v5 v6 v7 v8)],
    },
    'verbose' =>
        { spec => '', short => 'v', help => 'also print job numbers and names of errors' },
    'version' => { spec => '', help => 'show the version' },
};

our @COMMON = qw(socket output-format json noheader quiet verbose help version);

# Each name that an option can be given by => its name in the table.
my $NAMES = { map { $_ => $_, ($TABLE->{$_}->{short} // $_) => $_ } keys $TABLE->%* };

# Adds one option to the given ones: --name or -x. Its value is taken from the words if there is
# none. Returns a complaint, or nothing.
my sub add ($given, $typed, $value, $words) {
    my $name = $typed =~ s/\A--?//r;
    my $key = $NAMES->{$name} // return "unknown option: $typed";
    if ($TABLE->{$key}->{spec} eq '') {
        return "option $typed does not take an argument" if defined($value);
        $given->{$key} = 1;
        return;
    }
    return "option $typed requires an argument" if defined($value) ? $value eq '' : !$words->@*;
    $value //= shift($words->@*);
    if ($TABLE->{$key}->{spec} eq 's@') {
        push $given->{$key}->@*, $value;
    } else {
        $given->{$key} = $value;
    }
    return;
}

# Takes the options out of a command line: --name, --name=VALUE, --name VALUE, and -x, none of which
# has a value, so that several may stand together. They may stand between arguments, and end at --.
# Returns the arguments, a hash of the options, and complaints. This is what Getopt::Long does with
# bundling and permute (t/21-options.t compares them), which takes a fifth of all the time that the
# command takes to load.
sub parse (@words) {
    my ($arguments, $given, @complaints) = ([], {});
    while (defined(my $word = shift @words)) {
        if ($word eq '--') {
            push $arguments->@*, splice(@words);
        } elsif ($word =~ /\A--/) {
            my $end = index($word, '=', 3);
            # by substr, which keeps what is tainted so
            my ($typed, $value) =
                  $end < 0
                ? $word
                : (substr($word, 0, $end), substr($word, $end + 1));
            push @complaints, add($given, $typed, $value, \@words);
        } elsif ($word =~ /\A-./s) {
            unshift @words, '-' . substr($word, 2) if length($word) > 2;
            push @complaints, add($given, substr($word, 0, 2), undef, \@words);
        } else {
            push $arguments->@*, $word;
        }
    }
    return ($arguments, $given, @complaints);
}

1;
