package PVE::OCI::Registry;

# Fetches images from registries with skopeo(1). The daemon has no network; this runs in the
# caller's process and leaves an OCI image archive behind, as `pve-oci extract` reads it.
#
# The reference name in the archive is NAME:TAG@DIGEST, where DIGEST is the digest that the registry
# has for this platform's manifest. skopeo converts docker manifests to OCI ones, which changes
# their digest, so the archive's own manifest digest does not tell whether the registry has a newer
# image.

use v5.36;

use Digest::SHA qw(sha256_hex);
use File::Basename qw(basename dirname);
use File::Find ();
use File::Path ();
use File::Temp ();
use IO::Select;
use JSON;
use POSIX ();
use Time::HiRes ();

use PVE::OCI;
use PVE::OCI::Signals;
use PVE::OCI::Text;
use PVE::OCI::Varlink;

my $MAX_MANIFEST_SIZE = 4 * 1024 * 1024;
my $MAX_ERROR_SIZE = 64 * 1024;
my $POLL_SECONDS = 0.2;
my $KILL_SECONDS = 5;
my $SAFE_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

# Machine of uname(2) => architecture of the image specification.
my $MACHINES = { x86_64 => 'amd64', aarch64 => 'arm64', riscv64 => 'riscv64' };

my sub invalid ($message) { PVE::OCI::Varlink::fail('InvalidArgument', $message) }

my sub failed ($message) {
    PVE::OCI::Varlink::fail('RegistryFailed', PVE::OCI::Text::one_line($message));
}

# "nginx:1.27", "docker://registry.example:5000/team/app@sha256:..." => its parts, untainted. The
# grammar is that of distribution/reference: a name, then a tag or a digest or both.
sub parse ($reference) {
    my ($name, $tag, $digest) = ($reference // '') =~ m{
        \A (?:docker://)?
        ([A-Za-z0-9][A-Za-z0-9._-]* (?: :[0-9]{1,5} (?=/) )? (?: / [a-z0-9][a-z0-9._-]* )* )
        (?: : ([A-Za-z0-9_][A-Za-z0-9._-]{0,127}) )?
        (?: @ (sha256:[0-9a-f]{64}) )? \z
    }x
        or invalid("'"
            . PVE::OCI::Text::one_line($reference // '')
            . "' is not the name of an image in a registry, such as docker.io/library/nginx:1.27");
    $tag //= 'latest' if !defined($digest);
    my $text = defined($tag) ? "$name:$tag" : $name;
    return { name => $name, tag => $tag, digest => $digest, text => $text };
}

my sub stop_child ($pid) {
    kill('TERM', -$pid);
    my $deadline = Time::HiRes::time() + $KILL_SECONDS;
    while (Time::HiRes::time() < $deadline) {
        return if waitpid($pid, POSIX::WNOHANG()) != 0;
        Time::HiRes::sleep(0.05);
    }
    kill('KILL', -$pid);
    waitpid($pid, 0);
    return;
}

# Starts a program in a process group of its own; returns its pid and what its output and its
# errors are read from.
my sub start ($guard, @command) {
    pipe(my $output, my $output_end) or failed("pipe: $!");
    pipe(my $errors, my $errors_end) or failed("pipe: $!");
    my $pid = fork() // failed("fork: $!");
    if (!$pid) {
        # if anything fails here, this copy of the caller must not go on
        $guard->forget_handlers();
        eval {
            $SIG{PIPE} = 'DEFAULT';
            POSIX::setpgid(0, 0);
            local @ENV{qw(PATH IFS CDPATH ENV BASH_ENV)} = ($SAFE_PATH);
            open(STDIN, '<', '/dev/null') or die $!;
            open(STDOUT, '>&', $output_end) or die $!;
            open(STDERR, '>&', $errors_end) or die $!;
            exec { $command[0] } @command;
        };
        POSIX::_exit(127);
    }
    POSIX::setpgid($pid, $pid); # both do it, so that it holds before either goes on
    return ($pid, $output, $errors);
}

my sub run_guarded ($guard, $command, $limit, $poll) {
    my ($pid, $output, $errors) = start($guard, $command->@*);
    my %read = (fileno($output) => '', fileno($errors) => '');
    my $select = IO::Select->new($output, $errors);
    my ($is_done, $error) = $guard->attempt(sub {
        while ($select->count()) {
            for my $handle ($select->can_read($POLL_SECONDS)) {
                my $count = sysread($handle, my $bytes, 65536);
                if (!$count) {
                    $select->remove($handle) if defined($count) || !$!{EINTR};
                    next;
                }
                my $text = \$read{ fileno($handle) };
                $$text .= $bytes;
                if ($handle == $errors) {
                    $$text = substr($$text, -$MAX_ERROR_SIZE)
                        if length($$text) > $MAX_ERROR_SIZE;
                } elsif (length($$text) > $limit) {
                    die "$command->[0] printed more than $limit bytes\n";
                }
            }
            $poll->() if $poll;
        }
        return 1;
    });
    if (!$is_done) {
        stop_child($pid);
        die $error;
    }
    1 while waitpid($pid, 0) < 0 && $!{EINTR};
    return $read{ fileno($output) } if $? == 0;
    my $status = $?;
    failed('skopeo is not installed: apt-get install skopeo')
        if $status >> 8 == 127 && $command->[0] eq 'skopeo';
    my ($reason) = $read{ fileno($errors) } =~ /([^\n]+)\s*\z/;
    # skopeo's log line: time="..." level=fatal msg="..."
    ($reason) = $1 =~ s/\\(["\\])/$1/gr if ($reason // '') =~ /msg="(.*)"\z/;
    failed(
        $reason // (
            "$command->[0] ended with "
                . ($status & 127 ? "signal " . ($status & 127) : "exit code " . ($status >> 8))
        )
    );
}

# Runs a program to its end. Returns what it wrote; dies with the last line of its errors. $poll is
# called some times a second. The program does not outlive this function, however it ends.
my sub run ($command, $limit, $poll = undef) {
    return PVE::OCI::Signals::guard(
        sub ($guard) { run_guarded($guard, $command, $limit, $poll) },
    );
}

my sub authentication ($options) {
    my $file = $options->{authfile} // return ();
    my ($path) = $file =~ /\A([^\0\n]+)\z/ or invalid('authfile is not the name of a file');
    invalid("authfile '$path' does not exist") if !-e $path;
    return ('--authfile', $path);
}

my sub decode ($text, $what) {
    my $json = eval { JSON->new->utf8->decode($text) };
    failed("$what is not a JSON object") if ref($json) ne 'HASH';
    return $json;
}

my sub digest_of ($descriptor) {
    my ($digest) = (ref($descriptor) eq 'HASH' ? $descriptor->{digest} // '' : '') =~
        /\A(sha256:[0-9a-f]{64})\z/;
    return $digest;
}

my sub list_of ($value) { return ref($value) eq 'ARRAY' ? $value->@* : () }

# Descriptor of the manifest for a platform, of those that an index lists.
my sub choose ($index, $reference, $options) {
    my $architecture = $options->{architecture} // $MACHINES->{ (POSIX::uname())[4] } // 'amd64';
    my $variant = $options->{variant};
    my %seen;
    for my $descriptor (list_of($index->{manifests})) {
        my $platform = ref($descriptor) eq 'HASH' ? $descriptor->{platform} : undef;
        next if ref($platform) ne 'HASH' || ($platform->{os} // '') ne 'linux';
        my $known = $platform->{architecture} // '';
        return $descriptor
            if $known eq $architecture
            && (!defined($variant) || ($platform->{variant} // '') eq $variant)
            && digest_of($descriptor);
        $seen{"linux/$known"} = 1;
    }
    failed("$reference->{text} has no image for linux/$architecture; it has "
            . (join(', ', sort keys %seen) || 'none for linux'));
}

# Asks the registry what it has under this reference now, for one platform.
#
# Options: architecture (GOARCH; the host's otherwise), variant, authfile. Returns {reference, name,
# digest, size}: digest is the manifest's, size the sum of its blobs in bytes.
sub resolve ($text, $options = {}) {
    my $reference = parse($text);
    my @skopeo = ('skopeo', 'inspect', '--raw', authentication($options));
    my $at = defined($reference->{digest}) ? "\@$reference->{digest}" : ":$reference->{tag}";
    my $raw = run([@skopeo, "docker://$reference->{name}$at"], $MAX_MANIFEST_SIZE);
    my $manifest = decode($raw, "manifest of $reference->{text}");
    my $digest = digest_of({ digest => 'sha256:' . sha256_hex($raw) });
    failed("$reference->{text} has the digest $digest instead of $reference->{digest}")
        if defined($reference->{digest}) && $digest ne $reference->{digest};
    if (ref($manifest->{manifests}) eq 'ARRAY') {
        $digest = digest_of(choose($manifest, $reference, $options));
        $raw = run([@skopeo, "docker://$reference->{name}\@$digest"], $MAX_MANIFEST_SIZE);
        $manifest = decode($raw, "manifest of $reference->{text}");
    }
    my $size = 0;
    for my $descriptor ($manifest->{config}, list_of($manifest->{layers})) {
        my $count = ref($descriptor) eq 'HASH' ? $descriptor->{size} // 0 : 0;
        $size += $1 if $count =~ /\A([0-9]{1,15})\z/;
    }
    return {
        reference => $reference->{text}, name => $reference->{name},
        digest => $digest, size => $size,
    };
}

# The parts of a reference name that pull() has recorded; undef for any other.
sub recorded ($reference_name) {
    my $parts = eval { parse($reference_name) } // return;
    return $parts if defined($parts->{digest}) && defined($parts->{tag});
    return;
}

# The file that an image is pulled to if the caller names none: nginx_1.27.tar.
sub default_file ($text) {
    my $reference = parse($text);
    my $version = $reference->{tag} // substr($reference->{digest}, 7, 12);
    return basename($reference->{name}) . "_$version.tar";
}

my sub die_if_there ($path) {
    invalid("'$path' is there already: remove it, or give another name") if -e $path || -l $path;
    return;
}

my sub size_below ($folder) {
    my $size = 0;
    # skopeo renames files that are complete, so a name may be gone by now
    my $add = sub { $size += (-s _) // 0 if -f $_ };
    File::Find::find({ no_chdir => 1, untaint => 1, wanted => $add }, $folder);
    return $size;
}

# Fetches an image and writes it to $file as an OCI image archive. Until it is complete and verified
# it has a temporary name in the same directory. After an error nothing is left behind.
#
# Options: those of resolve(), and progress (called with {phase, bytesRead, bytesTotal}); home,
# java, mode and socket as for PVE::OCI::verify_image. Returns what resolve() does, with file.
sub pull ($text, $file, $options = {}) {
    my ($path) = $file =~ /\A([^\0\n]+)\z/ or invalid('FILE is not the name of a file');
    die_if_there($path);
    my $image = resolve($text, $options);
    my $folder = eval { File::Temp::tempdir('.pve-oci-pull-XXXXXXXX', DIR => dirname($path)); }
        // failed("cannot write to '" . dirname($path) . "': $!");
    ($folder) = $folder =~ /\A(.*)\z/s;
    my $is_done = eval {
        my $tell = $options->{progress} // sub ($progress) { };
        my $report = sub () {
            my $read = size_below($folder);
            $read = $image->{size} if $read > $image->{size};
            $tell->({ phase => 'pulling', bytesRead => $read, bytesTotal => $image->{size} });
        };
        local $ENV{TMPDIR} = $folder; # skopeo puts there what it has not finished
        run(
            [
                'skopeo', 'copy', '--quiet', authentication($options),
                "docker://$image->{name}\@$image->{digest}",
                "oci:$folder/layout:$image->{reference}\@$image->{digest}",
            ],
            $MAX_ERROR_SIZE, $report,
        );
        run(
            [
                'tar', '-C', "$folder/layout", '--owner=0', '--group=0', '--numeric-owner',
                '-cf', "$folder/image.tar", 'oci-layout', 'index.json', 'blobs',
            ],
            $MAX_ERROR_SIZE,
        );
        my %verify = map { $_ => $options->{$_} }
            grep { defined($options->{$_}) }
            qw(architecture home java mode progress socket variant);
        PVE::OCI::verify_image("$folder/image.tar", \%verify);
        die_if_there($path);
        rename("$folder/image.tar", $path) or failed("cannot write '$path': $!");
        1;
    };
    my $error = $@;
    File::Path::remove_tree($folder, { safe => 1 });
    die $error if !$is_done;
    return { $image->%*, file => $path };
}

1;
