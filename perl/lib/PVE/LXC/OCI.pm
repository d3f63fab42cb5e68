package PVE::LXC::OCI;

# OCI images in the create flow of containers, in place of PVE::LXC::Create::restore_archive.
#
# Runs in the task of `pct create` as root of the host, in taint mode. Asks pve-ocid to extract,
# sets $conf by what the image says, and puts /.pve.init, /.pve.env and /.pve.oci.json into rootfs.

use v5.36;

use POSIX ();

use PVE::LXC;
use PVE::LXC::Config;
use PVE::RESTEnvironment;
use PVE::Storage;

use PVE::OCI;
use PVE::OCI::Error;
use PVE::OCI::Signals;
use PVE::OCI::Text;

use PVE::LXC::OCI::Archive;

my $PROGRESS_INTERVAL = 10; # seconds

# PVE's architecture => what the image specification calls it.
my $ARCHITECTURES = {
    amd64 => { architecture => 'amd64' },
    arm64 => { architecture => 'arm64' },
    armhf => { architecture => 'arm', variant => 'v7' },
    i386 => { architecture => '386' },
    riscv32 => { architecture => 'riscv32' },
    riscv64 => { architecture => 'riscv64' },
};

# Machine of uname(2) => PVE's architecture.
my $MACHINES = { x86_64 => 'amd64', aarch64 => 'arm64', riscv64 => 'riscv64' };

# What is needed once the image's config is there. It is loaded while the daemon extracts, which
# takes longer.
my sub load_rest () {
    require PVE::OCI::Origin;
    require PVE::OCI::Rootfs;
    require PVE::LXC::OCI::Distribution;
    require PVE::LXC::OCI::ImageConfig;
    require PVE::LXC::OCI::Init;
    require PVE::LXC::OCI::Runtime;
    require PVE::LXC::OCI::Summary;
    require PVE::LXC::OCI::Volumes;
    return;
}

# The message may quote an image.
my sub log_warning ($unsafe_message) {
    my $message = PVE::OCI::Text::one_line($unsafe_message);
    if (defined(&PVE::RESTEnvironment::log_warn)) {
        PVE::RESTEnvironment::log_warn($message);
    } else {
        warn "WARN: $message\n";
    }
    return;
}

my sub host_architecture() { return $MACHINES->{ (POSIX::uname())[4] } // 'amd64'; }

# A volume that only the original function can read: of a backup server or an external provider, or
# a backup whatever its storage.
my sub is_backup ($storage_cfg, $archive) {
    return 1 if $archive =~ m{(?:\A|[/:])vzdump-[^/]*\z};
    my ($storeid) = PVE::Storage::parse_volume_id($archive, 1);
    return 0 if !defined($storeid);
    my $scfg = PVE::Storage::storage_check_enabled($storage_cfg, $storeid);
    return 1 if $scfg->{type} eq 'pbs';
    return 1 if PVE::Storage::storage_has_feature($storage_cfg, $storeid, 'backup-provider');
    my ($vtype) = PVE::Storage::parse_volname($storage_cfg, $archive);
    return $vtype eq 'backup' ? 1 : 0;
}

# Returns a function that prints progress: a line for each layer, and one every few seconds.
# $announce is called before the first line.
my sub progress_printer ($announce) {
    my ($layer, $last) = (-1, time());
    return sub ($p) {
        PVE::OCI::Signals::check();
        my ($index, $count, $read, $total) =
            map { ($_ // '') =~ /\A([0-9]+)\z/ ? $1 : 0 }
            $p->@{qw(layerIndex layersCount bytesRead bytesTotal)};
        return if ($p->{phase} // '') ne 'extracting' || $total == 0;
        $announce->();
        return if $index == $layer && time() - $last < $PROGRESS_INTERVAL;
        ($layer, $last) = ($index, time());
        printf(
            "layer %d/%d: extracted %s of %s (%.2f%%)\n", $index + 1, $count,
            PVE::OCI::Text::size($read), PVE::OCI::Text::size($total), 100 * $read / $total,
        );
    };
}

# Extracts the archive; returns the image's config and what was done, or nothing if there is no
# image in it. Then $rootdir is as it was.
my sub extract ($archive_path, $rootdir, $conf, $id_map, $bwlimit) {
    my $arch = $conf->{arch} // host_architecture();
    my $platform = $ARCHITECTURES->{$arch} // die "no OCI images for architecture '$arch'\n";
    # printed once the engine has found an image; other archives are left to the original function
    my $count = 0;
    my $announce = sub { print "extracting OCI image '$archive_path'\n" if !$count++ };
    # NOTE: values of $unsafe_config are untrusted, only control characters were looked for
    my ($unsafe_config, $result) = eval {
        PVE::OCI::parse_and_extract_image(
            $archive_path,
            $rootdir,
            $platform->{architecture},
            {
                id_map => $id_map,
                bwlimit => $bwlimit,
                variant => $platform->{variant},
                progress => progress_printer($announce),
                # an image that cannot be started is refused before its layers are read, which can
                # take minutes
                on_config => sub ($early) {
                    load_rest();
                    PVE::LXC::OCI::ImageConfig::check($conf, $early);
                    PVE::OCI::Signals::check();
                },
                record => 1,
                daemon_only => 1, # unless the settings allow the embedded engine
                on_fallback => \&log_warning,
                on_abort => \&log_warning,
                on_warning => sub ($line, $warning) { log_warning($line) },
            },
        );
    };
    if (my $error = $@) {
        my $caught = PVE::OCI::Error::caught($error);
        return if $caught && $caught->{name} eq 'io.pve.oci.NotAnOciArchive';
        # the task log is all that its reader sees
        die "$caught->{message}; journalctl -u pve-ocid shows why\n"
            if $caught && $caught->{name} eq 'ConnectionLost';
        die $error;
    }
    die "extracting OCI image '$archive_path' ended without a configuration\n"
        if ref($unsafe_config) ne 'HASH' || ref($result) ne 'HASH';
    $announce->();
    printf(
        "extracted %d entries, %s\n",
        $result->{entriesWritten} // 0, PVE::OCI::Text::size($result->{bytesWritten} // 0),
    );
    return ($unsafe_config, $result);
}

# Extracts the image at $archive_path into $rootdir and sets $conf by it. Returns nothing if the
# archive holds no image; then neither was touched.
sub restore_image ($archive_path, $rootdir, $conf, $bwlimit = undef) {
    my ($id_map, $root_uid, $root_gid) = PVE::LXC::parse_id_maps($conf);
    my ($unsafe_config, $result) = extract($archive_path, $rootdir, $conf, $id_map, $bwlimit)
        or return;
    load_rest();
    # PVE guesses by /bin/sh, and says amd64 where there is none
    $conf->{arch} //= host_architecture();
    my $origin = PVE::OCI::Origin::make($result, $unsafe_config);
    apply_image_config(
        $conf, $unsafe_config, $rootdir,
        PVE::OCI::Origin::file($origin, $root_uid, $root_gid),
    );
    PVE::LXC::OCI::Volumes::report($rootdir, $unsafe_config, \&log_warning);
    PVE::LXC::OCI::Distribution::settle($conf, $rootdir, \&log_warning);
    return $conf;
}

# Writes the record anew, so that directories that were made for the image do not count as changes
# of the administrator. Does nothing where there is no record.
my sub renew_record ($rootdir, $id_map) {
    return if !-e "$rootdir/.pve.oci.mtree.zst";
    require PVE::OCI::RootUpdate; # not above: most images have all their directories
    eval {
        PVE::OCI::RootUpdate::apply_update(
            'record', $rootdir,
            { id_map => $id_map, daemon_only => 1, on_fallback => \&log_warning },
        );
        1;
    } or log_warning("the record for pve-oci diff lacks the image's empty directories: $@");
    return;
}

# Sets $conf by the image's config, and puts into rootfs what starts the image's command. Properties
# that $conf has already stay. @files are put there too, as PVE::OCI::Rootfs::replace_files takes
# them.
sub apply_image_config ($conf, $unsafe_config, $rootdir, @files) {
    load_rest();
    PVE::OCI::check_config($unsafe_config);
    my $settings =
        PVE::LXC::OCI::ImageConfig::settings($conf, $unsafe_config, $rootdir, \&log_warning);
    my $id_maps = [PVE::LXC::parse_id_maps($conf)];
    my $missing = $settings->{missing};
    my @unmade = PVE::LXC::OCI::Init::make_directories(
        $rootdir, $missing, $id_maps, \&log_warning,
    );
    renew_record($rootdir, $id_maps->[0]) if $missing->@* > @unmade;
    my $arch = $conf->{arch} // host_architecture();
    push @files, PVE::LXC::OCI::Init::files($settings->{init}, $id_maps, $arch)
        if $settings->{init};
    PVE::OCI::Rootfs::replace_files($rootdir, @files);
    PVE::LXC::OCI::ImageConfig::apply($conf, $settings, @unmade);
    PVE::LXC::OCI::Runtime::provide($conf, \&log_warning) if !$settings->{is_system};
    print "$_\n" for PVE::LXC::OCI::Summary::lines($conf, $unsafe_config, $settings);
    return $conf;
}

# Like restore_image. If the task is stopped meanwhile, this dies with what its signal handlers died
# with.
my sub restore (@arguments) {
    my $is_image;
    PVE::OCI::Signals::keep(sub {
        $is_image = restore_image(@arguments);
        PVE::OCI::Signals::check();
    });
    return $is_image;
}

# Same arguments as PVE::LXC::Create::restore_archive, which gets all that is not an OCI image.
sub restore_archive (@arguments) {
    my ($storage_cfg, $archive, $rootdir, $conf, $no_unpack_error, $bwlimit) = @arguments;
    if ($archive ne '-' && !is_backup($storage_cfg, $archive)) {
        my $path = PVE::Storage::abs_filesystem_path($storage_cfg, $archive);
        return
            if PVE::LXC::OCI::Archive::may_be_image($path)
            && restore($path, $rootdir, $conf, $bwlimit);
    }
    require PVE::LXC::Create; # not above: newer versions of it load this module
    return PVE::LXC::Create::restore_archive(@arguments);
}

1;
