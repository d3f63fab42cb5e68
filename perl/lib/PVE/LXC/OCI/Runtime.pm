package PVE::LXC::OCI::Runtime;

# The host sets up what a system's init would otherwise set up for the application: network and
# /dev/shm. No file is touched here.

use v5.36;

use PVE::LXC::Config;

my $SHARED_MEMORY = 'shm dev/shm tmpfs rw,nosuid,nodev,create=dir 0 0';

my sub has_lxc_key ($conf, $pattern) {
    return scalar(grep { $_->[0] =~ $pattern } ($conf->{lxc} // [])->@*);
}

# Lets the host manage a network device, if this version of pve-container can. It cannot wait for
# router advertisements, but the kernel takes them from the moment the device is up.
my sub manage_by_host ($conf, $name) {
    my $network = eval { PVE::LXC::Config->parse_lxc_network("$conf->{$name},host-managed=1") };
    return 0 if !$network || !$network->{'host-managed'};
    if (($network->{ip6} // '') eq 'auto') {
        print
            "network device $name: ip6=auto becomes ip6=manual, the kernel does SLAAC on its own\n";
        $network->{ip6} = 'manual';
    }
    print "network device $name will be managed by the host\n";
    $conf->{$name} = PVE::LXC::Config->print_lxc_network($network);
    return 1;
}

# The same with LXC's own keys, which can only set static addresses.
my sub manage_by_keys ($conf, $name, $warn) {
    my $network = eval { PVE::LXC::Config->parse_lxc_network($conf->{$name}) } // return;
    my ($number) = $name =~ /([0-9]+)\z/;
    return if $network->{link_down} || has_lxc_key($conf, qr/\Alxc\.net\.$number\./);
    my $prefix = "lxc.net.$number";
    my @keys = (["$prefix.flags", 'up']);
    for my $family (['ipv4', 'ip', 'gw'], ['ipv6', 'ip6', 'gw6']) {
        my ($key, $address, $gateway) = $family->@*;
        my $value = $network->{$address} // next;
        $warn->(  "network device $name: nothing in the container will ask for an address by"
                . " DHCP, set a static one: this version of pve-container cannot do it for it")
            if $value eq 'dhcp';
        next if $value !~ m{/}; # dhcp, auto, manual
        push @keys, ["$prefix.$key.address", $value];
        push @keys, ["$prefix.$key.gateway", $network->{$gateway}]
            if defined($network->{$gateway});
    }
    push $conf->{lxc}->@*, @keys;
    print "network device $name will be set up by LXC ($prefix.*): change both together\n";
    return;
}

# What the user has set stays.
sub provide ($conf, $warn) {
    for my $name (grep { /\Anet[0-9]+\z/ } sort keys $conf->%*) {
        next if $conf->{$name} =~ /(?:\A|,)host-managed=/;
        manage_by_host($conf, $name) or manage_by_keys($conf, $name, $warn);
    }
    # with an entrypoint pve-container does it
    push $conf->{lxc}->@*, ['lxc.mount.entry', $SHARED_MEMORY] if !defined($conf->{entrypoint});
    return;
}

1;
