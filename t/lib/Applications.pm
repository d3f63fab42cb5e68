# Images of applications, made of Debian packages: one layer with all of them, which is kept for the
# next time, and a small one for each image.
package Applications;

use v5.36;

use Digest::SHA qw(sha256_hex);
use Exporter qw(import);
use File::Path qw(make_path);
use JSON;

use TestImage qw(entry);
use TestSupport qw(home);

our @EXPORT_OK = qw(base image);

my @PACKAGES = qw(nginx-light postgresql-15 redis-server nodejs s6 systemd-sysv);
# Of the packages, what is large and no application here needs.
my @UNUSED = (
    (map { "share/$_/*" } qw(doc man locale)),
    qw(lib/*/libLLVM* lib/*/libz3* lib/postgresql/*/lib/bitcode/* lib/llvm*/*),
);
my $UNREACHABLE = qr/Could not (?:resolve|connect)|Temporary failure|Unable to (?:fetch|connect)/;
my $JSON = JSON->new->utf8->canonical;

my sub slurp ($path) {
    open(my $handle, '<:raw', $path) or die "$path: $!\n";
    local $/ = undef;
    return readline($handle);
}

my sub release() {
    my ($name) = slurp('/etc/os-release') =~ /^VERSION_CODENAME=(\w+)/m;
    return $name // '';
}

# The names of the packages where they carry a version.
my sub packages() {
    return map { /\Apostgresql/ && release() ne 'bookworm' ? 'postgresql' : $_ } @PACKAGES;
}

my sub describe ($tar, $path) {
    my ($diff_id) = qx(sha256sum $tar) =~ /\A([0-9a-f]{64})/;
    my %ids = qx(tar -xOf $tar ./etc/passwd) =~ /^(\w[\w-]*):[^:]*:([0-9]+:[0-9]+):/mg;
    system("zstd -q -1 --rm -f -o $path $tar") == 0 or die "zstd failed\n";
    my ($digest) = qx(sha256sum $path) =~ /\A([0-9a-f]{64})/;
    return {
        diffId => "sha256:$diff_id", digest => "sha256:$digest", size => -s $path, ids => \%ids,
    };
}

# Makes the layer, if it is not there yet. Returns { path, digest, diffId, size, ids }, or why it
# cannot be made. ids are those of its users, as uid:gid.
sub base() {
    return 'needs mmdebstrap' if system('mmdebstrap --version >/dev/null 2>&1') != 0;
    return 'needs zstd' if system('zstd --version >/dev/null 2>&1') != 0;
    return 'needs Debian' if release() eq '';
    my $path = home() . '/applications/' . join('-', release(), packages()) . '.tar.zst';
    if (!-e "$path.json") {
        make_path($path =~ s{/[^/]*\z}{}r);
        my $include = join(',', packages());
        my @without = map { "--dpkgopt=path-exclude=/usr/$_" } @UNUSED;
        my @command = (
            'mmdebstrap', '--variant=minbase', '--mode=root',
            '--aptopt=Acquire::Retries 0', '--aptopt=Acquire::http::Timeout 10',
            '--dpkgopt=force-unsafe-io', @without, "--include=$include", '--format=tar',
            release(), "$path.tar",
        );
        system('sh', '-c', 'log=$1; shift; exec "$@" >"$log" 2>&1', 'sh', "$path.log", @command);
        if ($? != 0) {
            my $log = slurp("$path.log");
            return 'needs packages: apt cannot be reached' if $log =~ $UNREACHABLE;
            die "mmdebstrap failed:\n", substr($log, -4000);
        }
        my $layer = describe("$path.tar", $path);
        open(my $handle, '>', "$path.json.new") or die $!;
        print {$handle} $JSON->encode($layer);
        close($handle) or die $!;
        rename("$path.json.new", "$path.json") or die $!;
    }
    return { $JSON->decode(slurp("$path.json"))->%*, path => $path };
}

my sub copy_into ($output, $path) {
    open(my $input, '<:raw', $path) or die "$path: $!\n";
    my $length = 0;
    while (my $count = read($input, my $bytes, 1 << 20)) {
        print {$output} $bytes;
        $length += $count;
    }
    print {$output} "\0" x (-$length % 512);
    return;
}

my sub architecture() {
    require POSIX;
    return { x86_64 => 'amd64', aarch64 => 'arm64' }->{ (POSIX::uname())[4] };
}

# Writes an archive of the base (undef for none) and a layer of these entries. Returns its path.
sub image ($path, $base, $config, $entries) {
    my $layer = $entries . "\0" x 1024;
    my %blobs;
    my $add = sub ($type, $bytes) {
        my $digest = 'sha256:' . sha256_hex($bytes);
        $blobs{$digest} = $bytes;
        my $media_type = "application/vnd.oci.image.$type";
        return { mediaType => $media_type, digest => $digest, size => length($bytes) };
    };
    my @layers = ($add->('layer.v1.tar', $layer));
    my @diff_ids = ($layers[0]->{digest});
    if ($base) {
        my $type = 'application/vnd.oci.image.layer.v1.tar+zstd';
        unshift @layers, { mediaType => $type, map { $_ => $base->{$_} } qw(digest size) };
        unshift @diff_ids, $base->{diffId};
    }
    my $full = {
        architecture => architecture(), os => 'linux', config => $config,
        rootfs => { type => 'layers', diff_ids => \@diff_ids },
    };
    my $manifest = {
        schemaVersion => 2,
        mediaType => 'application/vnd.oci.image.manifest.v1+json',
        config => $add->('config.v1+json', $JSON->encode($full)),
        layers => \@layers,
    };
    my $top = $add->('manifest.v1+json', $JSON->encode($manifest));
    my $index = $JSON->encode({ schemaVersion => 2, manifests => [$top] });
    open(my $file, '>:raw', $path) or die "open $path: $!\n";
    print {$file} entry('0', 'oci-layout', content => '{"imageLayoutVersion":"1.0.0"}'),
        entry('0', 'index.json', content => $index),
        map { entry('0', 'blobs/' . s{:}{/}r, content => $blobs{$_}) } sort keys %blobs;
    if ($base) {
        print {$file} entry('0', 'blobs/' . $base->{digest} =~ s{:}{/}r, size => $base->{size});
        copy_into($file, $base->{path});
    }
    print {$file} "\0" x 1024;
    close($file) or die "write $path: $!\n";
    return $path;
}

1;
