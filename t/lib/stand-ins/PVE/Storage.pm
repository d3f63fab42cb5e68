package PVE::Storage;

# Stand-in for tests: storages are { ids => { NAME => { type, path, features } } }.

use v5.36;

our @paths_asked;

sub config () { return { ids => {} } }

sub parse_volume_id ($volume, $is_quiet = 0) {
    return $volume =~ /^([a-z][a-z0-9-]*):(.+)$/;
}

sub storage_check_enabled ($config, $name) {
    return $config->{ids}->{$name} // die "no storage '$name'\n";
}

sub storage_has_feature ($config, $name, $feature) {
    return $config->{ids}->{$name}->{features}->{$feature};
}

sub parse_volname ($config, $volume) {
    my ($type, $name) = $volume =~ m{^[^:]+:([a-z]+)/(.+)$};
    return ($type, $name);
}

sub abs_filesystem_path ($config, $volume) {
    push @paths_asked, $volume;
    my ($storage, $name) = parse_volume_id($volume);
    return $volume if !defined($storage);
    return "$config->{ids}->{$storage}->{path}/" . $name =~ s{.*/}{}r;
}

1;
