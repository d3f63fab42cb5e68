package PVE::OCI::CLI::Integrate;

# The verb integrate: makes pve-container of this node create containers from OCI images by pve-oci.
#
# No file of another package is touched. Patched copies of pve-container's modules lie in
# /var/lib/pve-oci/integration, and a loader for each in /etc/perl, where Perl looks first. A loader
# takes the patched copy as long as the files that were patched are the same as then, and the
# original otherwise: what an update of pve-container brings is never mixed with older code. After
# an update the trigger of the package patches again (--refresh).

use v5.36;

use Cwd ();
use Digest::SHA ();
use Fcntl qw(LOCK_EX);
use File::Basename qw(dirname);
use File::Copy ();
use File::Path qw(make_path remove_tree);
use JSON;
use POSIX ();

use PVE::OCI::Error;
use PVE::OCI::Signals;
use PVE::OCI::Text;

my $ORIGINALS = '/usr/share/perl5'; # where pve-container has its modules
my $LOADERS = '/etc/perl';
my $STATE = '/var/lib/pve-oci/integration';
my $LOCK = '/run/lock/pve-oci-integrate';
my $PERL = '/usr/bin/perl';
my $MARK = '# Written by pve-oci integrate';
my $SERVICES = [qw(pvedaemon.service pveproxy.service pvestatd.service pvescheduler.service)];
my $MAX_OUTPUT = 2000;              # characters of a program's complaint

# What is shipped: patches, and the stand-in for PVE::RS::OCI.
our $SHARE = '/usr/share/pve-oci';
our $STAND_IN = "$SHARE/PVE/RS/OCI.pm";
our $PATCHES = "$SHARE/patches";
if (Cwd::realpath(__FILE__) =~ m{\A(/.+)/perl/lib/PVE/OCI/CLI/Integrate\.pm\z}s
    && -d "$1/perl/patches") {
    ($PATCHES, $STAND_IN) = ("$1/perl/patches", "$1/examples/PVE/RS/OCI.pm");
}

my sub fail ($message) { PVE::OCI::Error->throw('IntegrationFailed', $message) }

my sub read_file ($path) {
    open(my $handle, '<', $path) or fail("cannot read '$path': $!");
    local $/ = undef;
    return readline($handle) // '';
}

# Writes the file in one step, so that a program that starts meanwhile finds all of it or nothing.
my sub write_file ($path, $content) {
    make_path(dirname($path));
    open(my $handle, '>', "$path.new") or fail("cannot write '$path.new': $!");
    print {$handle} $content;
    close($handle) or fail("cannot write '$path.new': $!");
    rename("$path.new", $path) or fail("cannot write '$path': $!");
    return;
}

# Runs a program; returns its exit status and what it wrote.
my sub run_program (@command) {
    my $output;
    PVE::OCI::Signals::guard(sub ($guard) {
        my $pid = open($output, '-|') // fail("cannot fork: $!");
        return if $pid;
        $guard->forget_handlers();
        open(STDERR, '>&', \*STDOUT);
        open(STDIN, '<', '/dev/null');
        exec({ $command[0] } @command) or print "cannot run $command[0]: $!\n";
        POSIX::_exit(127);
    });
    my $text = do { local $/ = undef; readline($output) }
        // '';
    close($output);
    return ($?, substr($text, 0, $MAX_OUTPUT));
}

# Size, time and inode of a file, which differ after each update. Undef if there is no file.
my sub identity ($path) {
    my @status = stat($path) or return;
    return "@status[1, 7, 9]";
}

my sub digest ($path) { return Digest::SHA::sha256_hex(read_file($path)) }

my sub package_version ($name) {
    my ($status, $text) = run_program('/usr/bin/dpkg-query', '-Wf', '${Version}', $name);
    return $status == 0 && $text =~ /\A([\w.+~:-]+)\z/ ? $1 : undef;
}

# What was integrated, or undef. Names of modules are checked, because files are made and removed by
# them.
my sub read_state () {
    return if !-e "$STATE/state.json";
    my $state = eval { decode_json(read_file("$STATE/state.json")) } // {};
    my @names = map { m{\A(PVE/[A-Za-z0-9/]+\.pm)\z} ? $1 : () } ($state->{modules} // [])->@*;
    my ($mode) = ($state->{mode} // '') =~ /\A(patch|engine-only)\z/;
    return { $state->%*, modules => \@names, mode => $mode // 'patch' };
}

my sub write_state ($state) {
    write_file("$STATE/state.json", JSON->new->canonical->pretty->encode($state));
    return;
}

# The part of a patch that changes modules, and the names of these below /usr/share/perl5.
my sub modules_of ($patch) {
    my ($text, %seen) = ('');
    for my $part (split(/^(?=diff --git )/m, read_file($patch))) {
        my ($name) = $part =~ m{\Adiff --git a/src/(PVE/[A-Za-z0-9/]+\.pm) b/src/\1$}m or next;
        $part =~ s/^From [0-9a-f]{40} .*\z//ms; # the next mail of the series
        $text .= $part;
        $seen{$name} = 1;
    }
    return ($text, sort keys %seen);
}

# Patches copies of the modules in this directory. Returns their names, or nothing if the patch does
# not apply exactly.
my sub apply_patch ($patch, $directory) {
    my ($text, @names) = modules_of($patch);
    remove_tree($directory);
    for my $name (@names) {
        return if !-e "$ORIGINALS/$name";
        make_path(dirname("$directory/$name"));
        File::Copy::copy("$ORIGINALS/$name", "$directory/$name")
            or fail("cannot copy '$ORIGINALS/$name': $!");
    }
    write_file("$directory/patch", $text);
    my @options = ('-p2', '--batch', '--fuzz=0', '--no-backup-if-mismatch', '-d', $directory);
    my ($status, $output) = run_program('/usr/bin/patch', @options, '-i', "$directory/patch");
    fail("$output: install the package patch") if $status >> 8 == 127;
    unlink("$directory/patch");
    return $status == 0 ? @names : ();
}

my sub loader ($name, $originals) {
    my $list = join('', map { "    '$_' => '$originals->{$_}',\n" } sort keys $originals->%*);
    my $needed = $name eq 'PVE/RS/OCI.pm' ? 'PVE/OCI.pm' : 'PVE/LXC/OCI.pm';
    return <<"EOF";
$MARK; pve-oci integrate --remove takes it away.
#
# Loads the module of this name as pve-oci has changed it. Once one of the files below is another
# one, or pve-oci is gone, it loads the original.

my %original = (
$list);
my \$changed = '$STATE/lib/$name';
my \$is_good = -e \$changed && grep { -e "\$_/$needed" } grep { !ref(\$_) } \@INC;
for my \$path (keys %original) {
    my \@status = stat(\$path);
    \$is_good = 0 if "\@status[1, 7, 9]" ne \$original{\$path};
}
my \$path = \$is_good ? \$changed : '$ORIGINALS/$name';
my \$value = do \$path;
die \$@ if \$@;
\$value or die "cannot load '\$path': \$!\\n";
EOF
}

my sub is_ours ($path) {
    open(my $handle, '<', $path) or return 0;
    return index(readline($handle) // '', $MARK) == 0;
}

# The loaders go first: from then on every program gets the originals.
my sub remove_loaders ($names) {
    for my $name ($names->@*) {
        next if !is_ours("$LOADERS/$name");
        unlink("$LOADERS/$name") or fail("cannot remove '$LOADERS/$name': $!");
        my $directory = dirname("$LOADERS/$name");
        while ($directory ne $LOADERS && rmdir($directory)) { $directory = dirname($directory) }
    }
    return;
}

# The first line of a program's complaint.
my sub complaint ($output) {
    my ($line) = grep { /\S/ && !/ redefined at | is experimental at / } split(/\n/, $output);
    return $line // 'it does not say why';
}

# Checks that the modules compile in taint mode, with those in $directory first, as the daemons of
# the node load them.
my sub check_modules ($directory, @names) {
    for my $name (@names) {
        my ($status, $output) = run_program($PERL, '-T', "-I$directory", '-c', "$directory/$name");
        fail("$name does not compile: " . complaint($output)) if $status != 0;
    }
    return;
}

my sub check_loading (@names) {
    for my $name (@names) {
        my ($status, $output) = run_program($PERL, '-T', '-e', "require '$name'");
        fail("$name cannot be loaded: " . complaint($output)) if $status != 0;
    }
    return;
}

# Puts the modules in $directory into use; takes them back if a program could not load them.
my sub switch_on ($directory, $state) {
    my @names = $state->{modules}->@*;
    for my $name (@names) {
        fail("'$LOADERS/$name' is there, and not by pve-oci")
            if -e "$LOADERS/$name" && !is_ours("$LOADERS/$name");
    }
    remove_loaders((read_state() // { modules => [] })->{modules});
    remove_tree("$STATE/lib");
    rename($directory, "$STATE/lib") or fail("cannot rename '$directory': $!");
    write_state($state);
    eval {
        write_file("$LOADERS/$_", loader($_, $state->{originals})) for @names;
        check_loading(@names);
        1;
    } and return;
    my $error = $@;
    remove_loaders(\@names);
    die $error;
}

my sub build_patched ($directory) {
    fail("pve-container is not installed: '$ORIGINALS/PVE/LXC.pm' is missing")
        if !-e "$ORIGINALS/PVE/LXC.pm";
    my @patches =
        reverse sort map { m{\A(/.*)\z}s ? $1 : () } glob("$PATCHES/pve-container-*.patch");
    for my $patch (@patches) {
        my @names = apply_patch($patch, $directory) or next;
        check_modules($directory, @names);
        return {
            mode => 'patch', patch => $patch =~ s{.*/}{}r, source => digest($patch),
            modules => \@names,
            originals => { map { ("$ORIGINALS/$_" => identity("$ORIGINALS/$_")) } @names },
        };
    }
    my $version = package_version('pve-container') // 'unknown';
    fail("no patch for this pve-container (version $version); there are: "
            . join(', ', map { s{.*/(.*)\.patch\z}{$1}r } @patches));
}

my sub build_engine_only ($directory) {
    my $name = 'PVE/RS/OCI.pm';
    fail("this pve-container does not extract OCI images itself (no '$ORIGINALS/$name')")
        if !-e "$ORIGINALS/$name";
    remove_tree($directory);
    make_path(dirname("$directory/$name"));
    File::Copy::copy($STAND_IN, "$directory/$name") or fail("cannot copy '$STAND_IN': $!");
    check_modules($directory, $name);
    return {
        mode => 'engine-only', source => digest($STAND_IN), modules => [$name], originals => {},
    };
}

# Reloads the services, because running programs have the modules in memory.
my sub reload_services () {
    return if !-d '/run/systemd/system';
    run_program('/usr/bin/systemctl', 'reload-or-try-restart', $_) for $SERVICES->@*;
    return;
}

# Integrates. After an error the originals are in use, and --refresh tries again.
my sub apply ($mode) {
    my $directory = "$STATE/new";
    my $before = read_state();
    eval {
        my $state =
            $mode eq 'patch' ? build_patched($directory) : build_engine_only($directory);
        $state->{packageVersion} = package_version('pve-container');
        switch_on($directory, $state);
        1;
    } and return;
    my $error = $@;
    remove_tree($directory);
    if ($before) {
        remove_loaders($before->{modules});
        remove_tree("$STATE/lib");
        write_state({ mode => $mode, modules => [], error => "$error" =~ s/\s+\z//r });
    } else {
        remove_tree($STATE);
        rmdir(dirname($STATE));
    }
    die $error;
}

my sub is_in_force ($state) {
    return 0 if !$state || !$state->{modules}->@*;
    return 0
        if grep { !is_ours("$LOADERS/$_") || !-e "$STATE/lib/$_" } $state->{modules}->@*;
    my $originals = $state->{originals} // {};
    return !grep { (identity($_) // '') ne $originals->{$_} } keys $originals->%*;
}

my sub status () {
    my $state = read_state();
    my $result = { integrated => is_in_force($state) ? JSON::true : JSON::false };
    return $result if !$state;
    for my $key (qw(mode patch packageVersion modules error)) {
        $result->{$key} = $state->{$key} if defined($state->{$key});
    }
    return $result;
}

my sub remove () {
    my $state = read_state();
    remove_loaders($state->{modules}) if $state;
    remove_tree($STATE);
    rmdir(dirname($STATE));
    return;
}

# Whether the integration was made from the patches that are shipped now.
my sub is_of_this_version ($state) {
    my $source = $state->{mode} eq 'patch' ? "$PATCHES/" . ($state->{patch} // '') : $STAND_IN;
    return -f $source && digest($source) eq ($state->{source} // '');
}

# Patches again after an update of pve-oci or pve-container, if this node is integrated.
my sub refresh () {
    my $state = read_state();
    return 0 if !$state || is_in_force($state) && is_of_this_version($state);
    apply($state->{mode});
    return 1;
}

my $ACTIONS = {
    patch => sub { apply('patch'); return 1 },
    engine_only => sub { apply('engine-only'); return 1 },
    refresh => sub { return refresh() },
    remove => sub { remove(); return 1 },
};

sub run ($arguments, $options) {
    my @actions = grep { $options->{$_} } qw(status remove refresh engine_only);
    PVE::OCI::Error->throw(
        'InvalidArgument',
        'only one of --status, --remove, --refresh, --engine-only'
    ) if @actions > 1;
    my $action = $actions[0] // 'patch';
    return { status()->%*, asked => JSON::true } if $action eq 'status';
    PVE::OCI::Error->throw('io.pve.oci.PermissionDenied', 'only root can change this node')
        if $> != 0;
    # nothing to do, and in a chroot there may be no place for the lock
    return status() if ($action eq 'refresh' || $action eq 'remove') && !-e $STATE;
    local %ENV = (PATH => '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL => 'C');
    my $mask = umask(0022);
    open(my $lock, '>', $LOCK) or fail("cannot write '$LOCK': $!");
    flock($lock, LOCK_EX) or fail("cannot lock '$LOCK': $!");
    my $is_changed = eval { $ACTIONS->{$action}->() };
    my $error = $@;
    umask($mask);
    reload_services() if $error || $is_changed;
    die $error if $error;
    return status();
}

# One fact a line.
sub text ($reply, $given) {
    my $how =
        ($reply->{mode} // '') eq 'engine-only'
        ? 'engine only (PVE::RS::OCI)'
        : $reply->{patch};
    my @rows = (
        ['integrated', $reply->{integrated} ? 'yes' : 'no'],
        ['by', $how],
        ['pve-container', $reply->{packageVersion}],
        (map { ['module', $_] } ($reply->{modules} // [])->@*),
        ['error', $reply->{error}],
    );
    return join(
        '',
        map { sprintf("%-14s %s\n", $_->[0], PVE::OCI::Text::one_line($_->[1])) }
            grep { defined($_->[1]) } @rows,
    );
}

1;
