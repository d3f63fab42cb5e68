# A registry on loopback (Debian's docker-registry) with one user, and in front of it a proxy that
# can break transfers. HOME gets a configuration by which skopeo speaks plain HTTP to both.
package TestRegistry;

use v5.36;

use Digest::SHA qw(sha256_hex);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use JSON;
use MIME::Base64 qw(encode_base64);
use POSIX ();
use Time::HiRes qw(sleep);

use TestSupport qw(wait_until);

our $USER = 'anna';
our $PASSWORD = 'secret';

# Why no registry can be started here; undef if one can.
sub unavailable() {
    for my $program (qw(skopeo docker-registry)) {
        return "needs $program" if !grep { -x "$_/$program" } split(/:/, $ENV{PATH});
    }
    return;
}

my sub free_port() {
    return IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')->sockport();
}

my sub write_file ($path, $content) {
    open(my $handle, '>', $path) or die "$path: $!\n";
    print {$handle} $content or die "$path: $!\n";
    close($handle) or die "$path: $!\n";
    return $path;
}

sub start ($class) {
    my $folder = tempdir(CLEANUP => 1);
    my $self = bless({ folder => $folder, port => free_port(), owner => $$ }, $class);
    my $hash = crypt($PASSWORD, '$2y$05$abcdefghijklmnopqrstuu');
    write_file("$folder/htpasswd", "$USER:$hash\n");
    write_file("$folder/config.yml", <<"END");
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $folder/data}}
http: {addr: 127.0.0.1:$self->{port}}
auth: {htpasswd: {realm: test, path: $folder/htpasswd}}
END
    $self->{pid} = fork() // die "fork: $!\n";
    if (!$self->{pid}) {
        open(STDOUT, '>', "$folder/log") or POSIX::_exit(99);
        open(STDERR, '>&', \*STDOUT) or POSIX::_exit(99);
        exec('docker-registry', 'serve', "$folder/config.yml") or POSIX::_exit(98);
    }
    $self->start_proxy();
    mkdir($_) for "$folder/home", "$folder/home/.config", "$folder/home/.config/containers";
    write_file(
        "$folder/home/.config/containers/registries.conf",
        join(
            '',
            map { qq([[registry]]\nlocation = "127.0.0.1:$_"\ninsecure = true\n) }
                $self->@{qw(port proxy_port)}
        ),
    );
    $ENV{HOME} = "$folder/home";
    wait_until(sub { IO::Socket::INET->new("127.0.0.1:$self->{port}") })
        or die "docker-registry does not answer\n";
    return $self;
}

# Relays to the registry. While the file "cut" exists, each answer ends after 300,000 bytes; while
# "stall" exists, it stops there, and the connection stays open.
sub start_proxy ($self) {
    my $listener = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1')
        or die "listen: $!\n";
    $self->{proxy_port} = $listener->sockport();
    $self->{proxy_pid} = fork() // die "fork: $!\n";
    return if $self->{proxy_pid};
    local $SIG{CHLD} = 'IGNORE';
    while (my $client = $listener->accept()) {
        next if fork();
        my $server = IO::Socket::INET->new("127.0.0.1:$self->{port}") or POSIX::_exit(0);
        my %other = (fileno($client) => $server, fileno($server) => $client);
        my $answered = 0;
        my $select = IO::Select->new($client, $server);
        while (my @ready = $select->can_read()) {
            for my $from (@ready) {
                sysread($from, my $bytes, 16384) or POSIX::_exit(0);
                $answered += length($bytes) if $from == $server;
                my $limit = -e "$self->{folder}/cut" || -e "$self->{folder}/stall" ? 300_000 : 0;
                if ($limit && $answered > $limit) {
                    sleep(0.1) while -e "$self->{folder}/stall";
                    POSIX::_exit(0);
                }
                syswrite($other{ fileno($from) }, $bytes) // POSIX::_exit(0);
            }
        }
        POSIX::_exit(0);
    }
    POSIX::_exit(0);
}

# Turns "cut" or "stall" on or off.
sub set ($self, $name, $is_on) {
    $is_on ? write_file("$self->{folder}/$name", '') : unlink("$self->{folder}/$name");
    return;
}

sub address ($self) { return "127.0.0.1:$self->{proxy_port}" }

# A file as `skopeo login` writes it.
sub authfile ($self, $password = $PASSWORD) {
    my $entry = { auth => encode_base64("$USER:$password", '') };
    my %auths = map { ("127.0.0.1:$_" => $entry) } $self->@{qw(port proxy_port)};
    return write_file("$self->{folder}/auth-$password.json", encode_json({ auths => \%auths }));
}

# Puts an image archive into the registry.
sub push_image ($self, $archive, $name, @options) {
    my @command = (
        'skopeo', 'copy', '--quiet', '--dest-creds', "$USER:$PASSWORD", @options, $archive,
        "docker://127.0.0.1:$self->{port}/$name",
    );
    system(@command) == 0 or die "skopeo cannot push $name\n";
    return;
}

# Adds an index that lists the manifest of $tag once for each architecture.
sub push_index ($self, $repository, $name, $tag, $architectures) {
    my $http = HTTP::Tiny->new();
    my $url = "http://$USER:$PASSWORD\@127.0.0.1:$self->{port}/v2/$repository/manifests";
    my $type = 'application/vnd.oci.image.manifest.v1+json';
    my $manifest = $http->get("$url/$tag", { headers => { Accept => $type } });
    die "no manifest: $manifest->{status}\n" if !$manifest->{success};
    my %descriptor = (
        mediaType => $type, size => length($manifest->{content}),
        digest => 'sha256:' . sha256_hex($manifest->{content}),
    );
    my @manifests = map { { %descriptor, platform => { os => 'linux', architecture => $_ } } }
        $architectures->@*;
    my $index_type = 'application/vnd.oci.image.index.v1+json';
    my $index = { schemaVersion => 2, mediaType => $index_type, manifests => \@manifests };
    my $put = $http->put(
        "$url/$name",
        { headers => { 'Content-Type' => $index_type }, content => encode_json($index) }
    );
    die "index was refused: $put->{status} $put->{content}\n" if !$put->{success};
    return;
}

sub DESTROY ($self) {
    return if $self->{owner} != $$;
    local ($?, $!) = ($?, $!);
    for my $pid (grep { defined } $self->@{qw(pid proxy_pid)}) {
        kill('KILL', $pid);
        waitpid($pid, 0);
    }
    return;
}

1;
