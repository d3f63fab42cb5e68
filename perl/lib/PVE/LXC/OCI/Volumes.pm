package PVE::LXC::OCI::Volumes;

# Warns about mount points for the image's volumes that the application may not be able to use.

use v5.36;

use PVE::OCI::Rootfs;
use PVE::OCI::Text;

# Runs in rootfs. Whether a file system is mounted here that holds nothing but lost+found.
my sub is_new_file_system ($path) {
    my ($device) = lstat('/');
    my @status = stat($path);
    return 0 if !@status || !-d _ || $status[0] == $device;
    opendir(my $handle, $path) or return 0;
    my @names = grep { !/\A\.\.?\z/ } readdir($handle);
    return @names == 1 && $names[0] eq 'lost+found';
}

# Says where the lost+found of a new ext4 lies in a volume of the image: databases refuse a
# directory that is not empty, and docker's volumes are.
sub report ($rootdir, $config, $warn) {
    return if ref($config->{Volumes}) ne 'HASH';
    my @paths = sort keys $config->{Volumes}->%* or return;
    utf8::encode($_) for @paths;
    my $found = PVE::OCI::Rootfs::run_in(
        $rootdir,
        sub {
            return [map { is_new_file_system("/$_") ? 1 : 0 } @paths];
        },
    );
    for my $index (grep { $found->[$_] } 0 .. $#paths) {
        my $path = PVE::OCI::Text::one_line($paths[$index]);
        $warn->("volume $path is a file system of its own and holds lost+found: if the application"
                . ' does not start because of that, give it a directory below (as by PGDATA),'
                . ' or remove lost+found');
    }
    return;
}

1;
