package PVE::LXC::Config;

# Stand-in for tests: knows the properties and keys of pve-container 6.0 or, by $IS_NEW, of 6.1.

use v5.36;

our $IS_NEW = 0;

sub json_config_properties ($class, $properties) {
    $properties->{cmode} = {};
    $properties->{$_} = {} for $IS_NEW ? qw(env entrypoint) : ();
    return $properties;
}

sub is_valid_lxc_conf_key ($vmid, $key) {
    return $key =~ /^lxc\.(?:signal\.halt|init\.cmd|init\.cwd|idmap)$/
        || $IS_NEW && $key =~ /^lxc\.init\.(?:uid|gid|groups)$/;
}

sub parse_lxc_network ($class, $text) {
    my %network = map { split(/=/, $_, 2) } split(/,/, $text);
    die "unknown property\n" if !$IS_NEW && exists($network{'host-managed'});
    return \%network;
}

sub print_lxc_network ($class, $network) {
    return join(',', map { "$_=$network->{$_}" } sort keys $network->%*);
}

1;
