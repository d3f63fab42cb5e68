package PVE::LXC::OCI::Init;

# Puts into the rootfs of a new container what starts the image's command: /.pve.init and /.pve.env,
# and the directories of its volumes.

use v5.36;

use Cwd ();

use PVE::OCI::Env;
use PVE::OCI::Rootfs;

our $PATH = '/.pve.init';

my $MAX_INIT_SIZE = 1024 * 1024;

# PVE's architecture => architecture of the /.pve.init for it. In containers of the 32-bit
# architecture the host's kernel still runs its own 64-bit executables.
my $INIT_ARCHITECTURES = { amd64 => 'amd64', i386 => 'amd64', arm64 => 'arm64', armhf => 'arm64' };

# Where it is installed; in a source tree, where it is built.
our @DIRECTORIES = ('/usr/lib/pve-oci/init');
if (Cwd::realpath(__FILE__) =~ m{\A(/.+)/perl/lib/PVE/LXC/OCI/Init\.pm\z}s) {
    unshift @DIRECTORIES, "$1/target/native/init";
}

my sub read_executable ($arch) {
    my $name = $INIT_ARCHITECTURES->{$arch} // die "there is no $PATH for architecture '$arch'\n";
    for my $directory (@DIRECTORIES) {
        open(my $handle, '<:raw', "$directory/$name/pve.init") or next;
        read($handle, my $content, $MAX_INIT_SIZE)
            or die "cannot read '$directory/$name/pve.init': $!\n";
        return $content;
    }
    die "$PATH for architecture '$arch' is not installed\n";
}

# The host's id for one of the container's; dies if the container does not have it.
my sub host_id ($id_map, $type, $id) {
    return $id if !$id_map->@*;
    for my $entry (grep { $_->[0] eq $type } $id_map->@*) {
        my (undef, $inside, $outside, $count) = $entry->@*;
        return $outside + $id - $inside if $id >= $inside && $id < $inside + $count;
    }
    my $what = $type eq 'u' ? 'user' : 'group';
    die "$what id $id of the image's user is outside of the container's id map\n";
}

# /.pve.init and /.pve.env, as PVE::OCI::Rootfs::replace_files takes them. $id_maps is what
# PVE::LXC::parse_id_maps returns. The environment may hold secrets: besides root only the user's
# own group may read it, for where lxc.init.uid has changed the user before /.pve.init runs.
sub files ($init, $id_maps, $arch) {
    my ($id_map, $root_uid, $root_gid) = $id_maps->@*;
    my $executable = read_executable($arch);
    my $environment = PVE::OCI::Env::encode($init);
    host_id($id_map, 'u', $init->{uid});
    my $group = host_id($id_map, 'g', $init->{gid});
    host_id($id_map, 'g', $_) for $init->{groups}->@*;
    return (
        [$PATH, $executable, $root_uid, $root_gid, 0755],
        $init->{uid} == 0
        ? [$PVE::OCI::Env::PATH, $environment, $root_uid, $root_gid, 0600]
        : [$PVE::OCI::Env::PATH, $environment, $root_uid, $group, 0640],
    );
}

# Writes these files.
sub install ($rootdir, $init, $id_maps, $arch) {
    return PVE::OCI::Rootfs::replace_files($rootdir, files($init, $id_maps, $arch));
}

# Makes directories that the image names but does not have; existing ones keep their owner. Returns
# those that could not be made.
sub make_directories ($rootdir, $paths, $id_maps, $warn) {
    return if !$paths->@*;
    my (undef, $root_uid, $root_gid) = $id_maps->@*;
    my $errors = PVE::OCI::Rootfs::run_in(
        $rootdir,
        sub {
            return { map { $_ => PVE::OCI::Rootfs::make_directories($_, $root_uid, $root_gid) }
                    $paths->@* };
        },
    );
    my @unmade = grep { $errors->{$_} ne '' } sort keys $errors->%*;
    $warn->("cannot create the image's directory '$_': $errors->{$_}") for @unmade;
    return @unmade;
}

1;
