package PVE::LXC::Config;

# Stand-in for tests: knows the properties and keys of pve-container 6.0 or, by $IS_NEW, of 6.1,
# and keeps configurations in memory.

use v5.36;

use Storable qw(dclone);

our $IS_NEW = 0;

# By VMID; what was done, in its order; what shall go wrong.
our (%configs, @done, $write_error, $has_snapshots);

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

sub load_config ($class, $vmid) {
    return dclone($configs{$vmid} // die "Configuration file '$vmid.conf' does not exist\n");
}

sub write_config ($class, $vmid, $conf) {
    die $write_error if defined($write_error);
    push @done, "write $vmid";
    $configs{$vmid} = dclone($conf);
    return;
}

sub lock_config ($class, $vmid, $code, @parameters) {
    push @done, "lock $vmid";
    my $result = eval { $code->(@parameters) };
    my $error = $@;
    push @done, "unlock $vmid";
    die $error if $error;
    return $result;
}

sub check_lock ($class, $conf) {
    die "CT is locked ($conf->{lock})\n" if $conf->{lock};
    return;
}

sub has_feature ($class, $feature, $conf, $storage_cfg) { return $has_snapshots }

sub snapshot_create ($class, $vmid, $name, $save_vmstate, $comment) {
    push @done, "snapshot $vmid $name";
    return;
}

1;
