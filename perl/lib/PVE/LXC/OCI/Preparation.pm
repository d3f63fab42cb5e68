package PVE::LXC::OCI::Preparation;

# What an update puts into the new tree of a container, so that it starts: /.pve.init with what it
# starts, and directories that the container's settings want. A module of its own, because it needs
# many others and root file systems that are no containers need none of it.

use v5.36;

use PVE::LXC::OCI::Init;
use PVE::LXC::OCI::Merge;
use PVE::LXC::OCI::Ownership;
use PVE::OCI;
use PVE::OCI::Origin;

# Architecture of the image specification => PVE's.
my $ARCHITECTURES =
    { amd64 => 'amd64', 386 => 'i386', arm64 => 'arm64', arm => 'armhf', riscv64 => 'riscv64' };

my sub architecture_of ($place, $result) {
    return ($place->{conf} // {})->{arch}
        // $ARCHITECTURES->{ ($result->{platform} // {})->{architecture} // '' } // 'amd64';
}

# $place as for PVE::LXC::OCI::UpdateSteps, $new the new tree, $reply that of StageUpdate, $origin
# and $current where the old tree came from and what it starts. Returns whether directories were
# made.
sub prepare ($place, $new, $reply, $origin, $current, $options, $say) {
    my ($rootdir, $id_maps, $conf) = $place->@{qw(rootdir id_maps conf)};
    my ($config, $result) = $reply->@{qw(config result)};
    PVE::OCI::check_config($config);
    my $then_config = PVE::OCI::Origin::config_of($origin);
    my $then = PVE::LXC::OCI::Merge::settings_then($conf // {}, $then_config, $rootdir);
    $say->(
        'warning: it is not known what the old image wanted: settings that both have are the new'
            . ' one\'s')
        if !$then;
    my $now = PVE::LXC::OCI::Merge::settings($conf // {}, $config, $new, $then, $say);
    PVE::LXC::OCI::Init::make_directories($new, $now->{missing}, $id_maps, $say);
    if ($now->{init}) {
        my $init = PVE::LXC::OCI::Merge::init(
            $then ? $then->{init} : undef, $current, $now->{init},
            $say
        );
        my $warning = PVE::LXC::OCI::Ownership::warning(
            $place, $options->{chown} // [], $current, $init, $reply->{kept}->@*,
        );
        $say->($warning) if defined($warning);
        PVE::LXC::OCI::Init::install($new, $init, $id_maps, architecture_of($place, $result));
    }
    return scalar($now->{missing}->@*);
}

1;
