# Programs of other projects that speak varlink: the machine's own where it has them, else out of
# Debian's packages, unpacked below target/clients and never installed.
package ForeignClients;

use v5.36;

use Exporter qw(import);
use File::Path qw(make_path);

use TestSupport qw(root);

our @EXPORT_OK = qw(python_environment unpacked varlinkctl);

my $DIRECTORY = root() . '/target/clients';

# apt with a state of its own, that knows one suite and no installed package.
my sub apt ($suite, @command) {
    my $state = "$DIRECTORY/$suite";
    my ($site) = `apt-get indextargets --format '\$(SITE)' 2>/dev/null` =~
        m{^(https?://\S*debian\.org\S*|https?://\S+/debian)$}m;
    $site //= 'http://deb.debian.org/debian';
    make_path("$state/lists/partial", "$state/archives/partial");
    if (!-e "$state/sources.list") {
        open(my $sources, '>', "$state/sources.list") or die "sources: $!\n";
        print {$sources}
            "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $suite main\n";
        close($sources);
        open(my $status, '>', "$state/status") or die "status: $!\n";
        close($status);
    }
    my %setting = (
        'Dir::Etc::SourceList' => "$state/sources.list", 'Dir::Etc::SourceParts' => '/dev/null',
        'Dir::State::Lists' => "$state/lists", 'Dir::State::status' => "$state/status",
        'Dir::Cache' => $state, 'Dir::Cache::Archives' => "$state/archives",
        'APT::Sandbox::User' => 'root', 'Acquire::Retries' => 1,
    );
    my @settings = map { ('-o', "$_=$setting{$_}") } sort keys %setting;
    system('sh', '-c', 'exec "$@" >>"$0" 2>&1', "$state/log", 'apt-get', '-qy', @settings, @command)
        == 0
        or return 0;
    return 1;
}

# The directory where a suite's package is unpacked, with what it depends on; undef if it cannot be
# had.
sub unpacked ($suite, $package) {
    my $root = "$DIRECTORY/$package";
    return $root if -e "$root/.complete";
    return if !apt($suite, 'update');
    return
        if !apt($suite, 'install', '--download-only', '--no-install-recommends', $package);
    make_path($root);
    for my $archive (glob("$DIRECTORY/$suite/archives/*.deb")) {
        system('dpkg-deb', '-x', $archive, $root) == 0 or return;
    }
    open(my $mark, '>', "$root/.complete") or return;
    close($mark);
    unlink(glob("$DIRECTORY/$suite/archives/*.deb"));
    return $root;
}

# The command line that runs varlinkctl, with Debian 13's loader and C library where it is unpacked.
sub varlinkctl() {
    return ('varlinkctl') if `sh -c 'command -v varlinkctl'` ne '';
    my $root = unpacked('trixie', 'systemd') // return;
    chomp(my $architecture =
            `dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || gcc -print-multiarch`);
    my ($loader) = glob("$root/usr/lib/$architecture/ld-linux-*");
    my $path =
        join(':', map { "$root/$_" } "usr/lib/$architecture", "usr/lib/$architecture/systemd");
    return ($loader, '--library-path', $path, "$root/usr/bin/varlinkctl");
}

# PYTHONPATH that has the module varlink; undef if it cannot be had.
sub python_environment() {
    return '' if system("python3 -c 'import varlink' 2>/dev/null") == 0;
    my $root = unpacked('trixie', 'python3-varlink') // return;
    return "$root/usr/lib/python3/dist-packages";
}

1;
